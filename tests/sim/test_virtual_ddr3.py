"""Boards with DDR3 simulated at their pins: LiteDRAM's controller before a model of PHY and chips.

The model refuses what the standard forbids, and gives words of a lane with the right settings only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.inferences import wrong_answers_of

from kaniwa import Session, golden
from kaniwa.benchmark.networks.mobile import mobilenet_v2
from kaniwa.boards.board import load_board
from kaniwa.boards.ddr3 import memory_core
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.errors import DeviceError
from kaniwa.hw.ddr3 import lane_choice
from kaniwa.importers import load_model
from kaniwa.isa import OUTSIDE
from kaniwa.sim.worlds.random_graphs import random_graph, random_input
from kaniwa.sim.worlds.serial_config import SERIAL

pytestmark = pytest.mark.rtl

# By Ethernet, and by USB. Both have a bit of on-chip memory, so that programs need the chips.
BOARDS = ("ecpix5_85f_ddr3", "orangecrab_85f_ddr3")
WIDE = dataclasses.replace(PRESETS["small"], read_bytes=16, write_bytes=16, memory_bytes=4096,
                           name="wide")
# Of their own, so that no other test gets what was kept of these.
DEAF = dataclasses.replace(SERIAL, read_bytes=16, memory_bytes=2048, name="deaf")
HASTY = dataclasses.replace(SERIAL, read_bytes=16, memory_bytes=1024, name="hasty")
SIZE = 512 << 20


@pytest.fixture(scope="module", params=BOARDS)
def board(request: pytest.FixtureRequest) -> Iterator[BoardDevice]:
    with devices.open(f"sim:{request.param}", target=WIDE) as opened:
        assert isinstance(opened, BoardDevice)
        yield opened


@pytest.mark.parametrize("offset, count", [
    (0, 64), (3 * 2048 - 8, 40), (5, 3), (-40, 40), (0x123456, 700)])
def test_bytes_of_the_chip_are_those_that_were_written(board: BoardDevice, offset: int,
                                                       count: int) -> None:
    data = np.random.default_rng(count).integers(0, 256, count, np.uint8).tobytes()
    size = SIZE if "ecpix5" in board.name else SIZE // 4
    board.write(OUTSIDE + offset % size, data)
    assert bytes(board.read(OUTSIDE + offset % size, count)) == data


def test_bytes_beside_those_that_are_written_stay(board: BoardDevice) -> None:
    before = bytes(range(100, 132))
    board.write(OUTSIDE, before)
    board.write(OUTSIDE + 9, b"\x01\x02\x03")
    assert bytes(board.read(OUTSIDE, 32)) == before[:9] + b"\x01\x02\x03" + before[12:]


@pytest.mark.parametrize("seed", [3, 9, 11])
def test_inferences_with_weights_outside_are_exact(board: BoardDevice, seed: int) -> None:
    graph = random_graph(seed, "conv", macs=1 << 20)
    outside = load_board(board.name.removeprefix("sim:")).outside("small_ddr3")
    program = compile(graph, target=WIDE, outside=outside)
    assert program.outside_bytes
    session = Session(program, board)
    assert not wrong_answers_of(graph, session, seed)
    assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=0.03)


def test_chips_that_fail_their_calibration_are_named_and_the_rest_works(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane is right with one slip alone, which is not looked for here."""
    monkeypatch.setattr(lane_choice, "SLIPS", 1)
    with devices.open("sim:ecpix5_85f_ddr3", target=DEAF) as board:
        board.write(64, b"still here")
        assert bytes(board.read(64, 10)) == b"still here"
        message = ("^sim:ecpix5_85f_ddr3: its outside memory gave wrong words when it was "
                   "calibrated at power-up")
        with pytest.raises(DeviceError, match=message):
            board.read(OUTSIDE, 4)
        with pytest.raises(DeviceError, match=message):
            board.write(OUTSIDE, b"1234")


def test_a_broken_rule_of_the_chips_ends_the_simulation_with_its_name(
        monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    """RESET# goes up too early."""
    monkeypatch.setattr(memory_core, "RESET_US", 150)
    with pytest.raises(DeviceError, match="an assertion failed"), \
            devices.open("sim:ecpix5_85f_ddr3", target=HASTY) as board:
        board.read(OUTSIDE, 4)
    assert "DDR3: RESET# was low for less than 200 us" in capfd.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("network", ["cfu_mbv2_160_035", "mobilenet_v2"])
def test_large_networks_from_the_chips_are_exact(network: str, models: Path) -> None:
    graph = (mobilenet_v2().graph if network == "mobilenet_v2"
             else load_model(models / f"{network}.tflite"))
    described = load_board("ecpix5_85f_ddr3")
    program = compile(graph, target=described.config("base"),
                      outside=described.outside("base"))
    inputs = random_input(graph, 1)
    values = golden.run(graph, inputs)
    with devices.open("sim:ecpix5_85f_ddr3", target=program.config) as board:
        session = Session(program, board)
        outputs = session.run(inputs)
        for tensor in program.outputs:
            np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])
        assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=0.03)
