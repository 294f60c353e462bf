"""A whole board at its pins for SPI: the hosts in Python and in C, answers and cycles."""

import sys
import types

import numpy as np
import pytest
from builders.c_driver import Result, write_model
from builders.c_link import LinkedDriver, build_linked
from builders.graphs.inferences import wrong_answers_of
from builders.spi_port import FakePort, World

import kaniwa
from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.driver.frames import LINK_REGISTERS, Operation, Request, decode_reply, encode_request
from kaniwa.errors import ConfigError
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.board.spi_pins import SpiPins
from kaniwa.sim.worlds.random_graphs import random_graph, random_input
from kaniwa.sim.worlds.serial_config import SERIAL

pytestmark = [pytest.mark.rtl, pytest.mark.slow]
GRAPH = random_graph(3, "conv", macs=1 << 12)
BYTE_CYCLES = 48
APART_CYCLES = 6      # from a last bit to the next first one, beside its own period


@pytest.fixture(scope="module")
def design():
    return board_design("ulx3s_25f", SERIAL, link="spi")


@pytest.fixture
def pins(design):
    """The board, with its power just come."""
    return SpiPins(design)


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=SERIAL)


def test_inferences_of_the_host_in_python(pins, program, tmp_path, monkeypatch):
    (tmp_path / "port").touch()
    world = World(tmp_path / "port", pins)
    monkeypatch.setitem(sys.modules, "spidev",
                        types.SimpleNamespace(SpiDev=lambda: FakePort(world)))
    with world.board(target=SERIAL) as device:
        session = kaniwa.Session(program, device)
        for seed in range(3):
            assert wrong_answers_of(GRAPH, session, seed) == 0
            expected = kaniwa.estimate(program).cycles
            assert abs(session.stats.cycles - expected) <= 0.01 * expected
        statistics = device.link_statistics
    assert not (statistics.repeated or statistics.damaged or statistics.timeouts), statistics
    assert pins.cycles == 32 + BYTE_CYCLES * pins.bytes + APART_CYCLES * len(world.sizes)


def test_inferences_of_the_driver_in_c(pins, program, tmp_path):
    library = build_linked(tmp_path, [write_model(tmp_path, program)])
    driver = LinkedDriver(library, pins.exchange)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    for seed in range(3):
        inputs = random_input(GRAPH, seed)
        values = golden.run(GRAPH, inputs)
        answers = [np.full(t.shape, 99, np.int8) for t in program.outputs]
        given = [np.ascontiguousarray(inputs[GRAPH.tensors[i].name]) for i in GRAPH.inputs]
        assert driver.call("model_run", *given, *answers) == Result.OK
        for answer, tensor in zip(answers, program.outputs, strict=True):
            np.testing.assert_array_equal(answer, values[tensor.id])
    expected = kaniwa.estimate(program).cycles
    assert abs(driver.cycles() - expected) <= 0.01 * expected
    assert driver.link.repeated == driver.link.damaged == 0


def answer(pins, request, count):
    """Zeros that are read behind ``request`` until its reply, and the reply."""
    assert set(pins.exchange(encode_request(request, 0))) == {0}
    came = pins.exchange(bytes(count))
    frame = came.lstrip(b"\0")
    return len(came) - len(frame), frame


def test_a_reply_comes_whole_and_after_so_many_bytes(pins):
    """9 cycles a byte are less than SPI's 48: the longest reply takes as long as 49 bytes."""
    pins.exchange(b"\0")
    zeros, frame = answer(pins, Request(Operation.OPEN, 0, 3), 64)
    assert decode_reply(frame[:frame.index(0)]).session == 3
    assert zeros <= 4
    zeros, frame = answer(pins, Request(Operation.READ, LINK_REGISTERS, 8), 64)
    reply = decode_reply(frame[:frame.index(0)])
    assert int.from_bytes(reply.data[4:7], "little") == board_design(
        "ulx3s_25f", SERIAL, link="spi").pace
    assert zeros <= 7
    zeros, frame = answer(pins, Request(Operation.READ, 0, 244), 512)
    assert len(decode_reply(frame[:frame.index(0)]).data) == 244
    assert 45 <= zeros <= 60
    assert set(frame[frame.index(0):]) == {0}


def test_what_is_not_simulated_is_told():
    for name, options in (("ulx3s_25f_sdram", {}), ("ulx3s_25f", {"baud": 9600}),
                          ("ulx3s_25f", {"standalone": True})):
        with pytest.raises(ConfigError, match="over SPI is simulated without a baud, SDRAM or a"):
            board_design(name, SERIAL, link="spi", **options)
