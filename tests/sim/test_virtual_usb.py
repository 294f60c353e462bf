"""A whole board at D+ and D-, with a host of USB and the driver of real boards: exact answers."""

import functools

import pytest
from builders.graphs.inferences import wrong_answers_of

import kaniwa
from kaniwa.boards.board import USB_PACE
from kaniwa.compiler.pipeline import compile
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.errors import ConfigError
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.usb.host import Faults
from kaniwa.sim.usb.pins import UsbPins
from kaniwa.sim.usb.transport import UsbTransport
from kaniwa.sim.worlds.random_graphs import random_graph
from kaniwa.sim.worlds.serial_config import SERIAL

pytestmark = [pytest.mark.rtl, pytest.mark.slow]
GRAPH = random_graph(3, "conv", macs=1 << 12)
FAULTS = Faults(token=0.03, data=0.03, ack=0.03, answer=0.03, pause=0.01, other=0.03)
wrong_answers = functools.partial(wrong_answers_of, GRAPH)


@pytest.fixture(scope="module")
def design():
    return board_design("ulx3s_25f", SERIAL, link="usb")


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=SERIAL)


def device(line):
    return BoardDevice("board", target=SERIAL, connect=lambda: line)


def test_inferences_are_exact_and_nothing_goes_twice(design, program):
    line = UsbTransport(UsbPins(design))
    with device(line) as board:
        session = kaniwa.Session(program, board)
        for seed in range(3):
            assert wrong_answers(session, seed) == 0
            expected = kaniwa.estimate(program).cycles
            assert abs(session.stats.cycles - expected) <= 0.01 * expected
        statistics = board.link_statistics
        assert board.capabilities["clock_hz"] == 80_000_000
    assert not (statistics.repeated or statistics.damaged or statistics.timeouts), statistics


def test_a_board_that_has_nothing_else_is_a_device_by_its_name(program):
    with devices.open("sim:orangecrab_25f", target=SERIAL) as board:
        session = kaniwa.Session(program, board)
        assert wrong_answers(session, 1) == 0
        assert session.stats.cycles == pytest.approx(kaniwa.estimate(program).cycles, rel=0.01)
        assert board.pace == USB_PACE and not board.link_statistics.repeated
    with pytest.raises(ConfigError, match="orangecrab_25f over USB is simulated without a baud"):
        devices.open("sim:orangecrab_25f?baud=9600", target=SERIAL)


def inferences(design, program, count, seed):
    """So many on a faulty line, with a reset of the bus after every tenth; none may be wrong."""
    line = UsbTransport(UsbPins(design, seed), FAULTS, seed)
    with device(line) as board:
        session = kaniwa.Session(program, board)
        for number in range(count):
            if number % 10 == 9:
                line.reset()
            assert wrong_answers(session, seed + number) == 0
    return line.host.counts


def test_no_answer_is_wrong_on_a_faulty_line(design, program):
    counts = inferences(design, program, 60, 1)
    for fault in ("damaged_OUT", "damaged_IN", "damaged_ACK", "lost_ack", "lost_data",
                  "repeated_data", "pause", "other_IN", "other_OUT"):
        assert counts[fault], counts
    assert counts["enumerated"] == 7


@pytest.mark.long
def test_no_answer_is_wrong_on_a_faulty_line_for_long(design, program):
    for seed in range(10, 14):
        inferences(design, program, 50, seed)


def test_what_is_not_simulated_is_told():
    for name, options in (("ulx3s_25f_sdram", {}), ("ulx3s_25f", {"baud": 9600}),
                          ("ulx3s_25f", {"standalone": True})):
        with pytest.raises(ConfigError, match="over USB is simulated without a baud, SDRAM or a"):
            board_design(name, SERIAL, link="usb", **options)
