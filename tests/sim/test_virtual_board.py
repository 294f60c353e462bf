"""Boards simulated at their pins, with the host's own driver: whole models, speed, and faults.

The iCEBreaker of these tests is the one of its bitstream: preset ``nano``, SPRAM, link and UART.
"""

import functools
import random

import numpy as np
import pytest
from builders.graphs.inferences import wrong_answers_of

from kaniwa import Session, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.errors import ConfigError, DeviceError
from kaniwa.importers import load_model
from kaniwa.isa import OUTSIDE
from kaniwa.sim.board.board_design import BIT_CYCLES, board_design
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.worlds.random_graphs import random_graph

pytestmark = pytest.mark.rtl
GRAPH = random_graph(3, "conv", macs=1 << 12)
wrong_answers = functools.partial(wrong_answers_of, GRAPH)


@pytest.fixture
def board():
    """An iCEBreaker just powered up."""
    return PinTransport(board_design("icebreaker"))


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target="nano")


def device(line):
    return BoardDevice("board", connect=lambda: line)


@pytest.mark.parametrize("model", ["mlperf_ic_resnet8", "mlperf_kws_dscnn"])
def test_whole_models_in_spram_are_exact(model, models):
    path = models / f"{model}.tflite"
    graph = load_model(path)
    program = compile(graph, target="nano")
    inputs = recorded_inputs(path, program.inputs)[0]
    values = golden.run(graph, inputs)
    with devices.open("sim:icebreaker") as board:
        session = Session(program, board)
        outputs = session.run(inputs)
        for tensor in program.outputs:
            np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])
        assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=0.001)
        assert board.link_statistics.repeated == 0


@pytest.mark.parametrize("name", [
    # A simulator to build, without a primitive of its own.
    pytest.param("crosslink_nx", marks=pytest.mark.long), "gatemate_a1_evb"])
def test_boards_of_other_families_are_exact(name, models):
    path = models / "tflm_micro_speech.tflite"
    with devices.open(f"sim:{name}") as board:
        program = compile(load_model(path), target=devices.target_of(f"sim:{name}"))
        inputs = recorded_inputs(path, program.inputs)[0]
        outputs = Session(program, board).run(inputs)
    values = golden.run(load_model(path), inputs)
    for t in program.outputs:
        np.testing.assert_array_equal(outputs[t.name], values[t.id])


def test_the_board_tells_what_was_built(board):
    design, nano = board_design("icebreaker"), PRESETS["nano"]
    with device(board) as opened:
        words = opened.capabilities
        assert words["config_hash_high"] << 32 | words["config_hash_low"] == int(nano.hash, 16)
        assert words["clock_hz"] == 20_250_000 == design.baud * BIT_CYCLES
        assert words["memory_bytes"] == nano.memory_bytes
        assert opened.config == nano and not opened.outside
        assert opened._link.pace == design.pace == 5_000


def test_bulk_data_goes_at_95_percent_of_the_lines_rate(board):
    data = random.Random(1).randbytes(16 * 1024)
    with device(board) as opened:
        for transfer in (lambda: opened.write(0, data), lambda: opened.read(0, len(data))):
            before = board.line_cycles
            result = transfer()
            assert result in (None, data)
            cycles = len(data) * 10 * BIT_CYCLES   # of the data alone
            assert cycles / (board.line_cycles - before) >= 0.95
        assert opened.link_statistics.repeated == opened.link_statistics.timeouts == 0


@pytest.mark.parametrize("speed", [0.97, 1.03])
def test_a_host_three_percent_off_is_understood(speed, program):
    line = PinTransport(board_design("icebreaker"), host_baud=speed)
    with device(line) as opened:
        session = Session(program, opened)
        assert not any(wrong_answers(session, seed) for seed in range(2))
        assert opened.link_statistics.damaged == opened.link_statistics.repeated == 0


def test_another_baud_is_named():
    line = PinTransport(board_design("icebreaker"), host_baud=0.6)
    with pytest.raises(DeviceError, match="^sim:icebreaker: .*baud rate"):
        device(line)


def test_200_inferences_on_a_bad_line_are_all_right(board, program):
    line = FaultyTransport(board, Faults(bit_error=1e-4, drop=1e-4, duplicate=1e-4), 5)
    with device(line) as opened:
        session = Session(program, opened)
        assert sum(wrong_answers(session, seed) for seed in range(200)) == 0
        assert opened.link_statistics.repeated > 20
    assert {"bit_error", "drop", "duplicate"} <= line.counts.keys()


def test_a_board_without_power_is_noticed_and_the_next_run_works(board, program):
    with device(board) as opened:
        session = Session(program, opened)
        assert not wrong_answers(session, 1)
        board.power_cycle()
        with pytest.raises(DeviceError, match="the device was reset: run again$"):
            wrong_answers(session, 2)
        assert not wrong_answers(session, 3)


def test_the_baud_of_a_bitstream_can_be_asked_for(program):
    with devices.open("sim:icebreaker?baud=3000000") as opened:
        assert opened._link.pace == 300_000
        session = Session(program, opened)
        assert not wrong_answers(session, 1)


def test_what_is_not_for_this_board_is_refused(program):
    with devices.open("sim:icebreaker") as opened:
        with pytest.raises(DeviceError, match="for target 'small' .* the device is 'nano'"):
            Session(compile(GRAPH, target="small"), opened)
        with pytest.raises(DeviceError, match="is outside device memory of 131072 bytes"):
            opened.write(OUTSIDE, b"1")
    with pytest.raises(DeviceError, match="sim:icebreaker: the board has no outside memory"):
        devices.open("sim:icebreaker", outside="ideal")
    with pytest.raises(ConfigError, match="shared_channel must be true with SPRAM"):
        devices.open("sim:icebreaker", target="small")
