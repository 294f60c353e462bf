"""Boards simulated at their pins with an SDRAM there, which refuses what its data sheet forbids."""

import numpy as np
import pytest

from kaniwa import Session, golden
from kaniwa.benchmark.networks.mobile import mobilenet_v2
from kaniwa.boards.board import load_board
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.errors import DeviceError
from kaniwa.importers import load_model
from kaniwa.isa import OUTSIDE
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.board.virtual_board import PAST_THE_LINE
from kaniwa.sim.worlds.random_graphs import random_input

pytestmark = pytest.mark.rtl
SMALL, LARGE = "ulx3s_25f_sdram", "ulx3s_85f_sdram"
MERGES = "colorlight_i5_sdram"       # has no data mask
COMPACT = "tang_nano_20k_sdram"
OUTSIDE_OF = {SMALL: "sdram,part=MT48LC16M16A2,clock=80",
              MERGES: "sdram,part=EM638325,clock=80,mask=0",
              COMPACT: "sdram,part=EM638325,clock=41"}
MIB = 1 << 20


@pytest.fixture(scope="module", params=[SMALL, MERGES, COMPACT])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def board(name):
    with devices.open(f"sim:{name}") as opened:
        yield opened


@pytest.fixture
def size(name):
    return {SMALL: 32, MERGES: 8, COMPACT: 8}[name] * MIB


def test_a_board_tells_that_it_has_outside_memory(name, board):
    assert board.outside and board.config.name == load_board(name).default_target


@pytest.mark.parametrize("offset, count", [
    (0, 64), (3 * 1024 - 8, 2048), (5, 3), (-40, 40), (-20 * MIB, PAST_THE_LINE)])
def test_bytes_of_the_chip_are_those_that_were_written(board, size, offset, count):
    data = np.random.default_rng(count).integers(0, 256, count, np.uint8).tobytes()
    offset %= size
    board.write(OUTSIDE + offset, data)
    assert board.read(OUTSIDE + offset, count) == data
    memory = board._transport.outside_memory(offset, count)
    assert bytes(memory) == data
    assert board._transport.outside_memory(size - count + 1, count) is None


def test_bytes_beside_those_that_are_written_stay(board):
    """The host writes byte by byte, so without a mask each is merged."""
    before = bytes(range(100, 132))
    board.write(OUTSIDE, before)
    board.write(OUTSIDE + 9, b"\x01\x02\x03")
    assert board.read(OUTSIDE, 32) == before[:9] + b"\x01\x02\x03" + before[12:]


def test_a_model_that_the_chip_holds_is_exact_and_takes_the_estimated_cycles(name, board, models):
    graph = load_model(models / "mlperf_ic_resnet8.tflite")
    described = load_board(name)
    target = described.default_target
    kind = described.outside(target)
    program = compile(graph, target=described.config(target), outside=kind)
    assert kind == OUTSIDE_OF[name] and program.outside_bytes
    inputs = recorded_inputs(models / "mlperf_ic_resnet8.tflite", program.inputs)[0]
    values = golden.run(graph, inputs)
    session = Session(program, board)
    outputs = session.run(inputs)
    for tensor in program.outputs:
        np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])
    assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=0.03)


def test_a_board_without_a_data_mask_has_no_pin_for_it():
    pins = load_board(MERGES).make_platform().lookup("sdram").ios
    assert not {"dqm", "cs", "clk_en"} & {pin.name for pin in pins}


def test_a_broken_rule_ends_the_simulation_with_its_name(name, monkeypatch):
    """The chip of this board is slower than its controller knows."""
    design = board_design(name)
    figures = design.chip_figures()
    figures[3] += 1     # tRCD
    monkeypatch.setattr(type(design), "chip_figures", lambda self: figures)
    slower = PinTransport(design)
    with pytest.raises(DeviceError, match=r"the SDRAM does not allow tRCD, at clock \d+"), \
            BoardDevice("board", connect=lambda: slower) as opened:
        opened.read(OUTSIDE, 8)


@pytest.mark.long
@pytest.mark.parametrize("name, target, network", [
    (LARGE, "base", "cfu_mbv2_160_035"), (LARGE, "base", "mobilenet_v2"),
    (MERGES, "small", "cfu_mbv2_160_035"), (COMPACT, "nano_64k_sdram", "cfu_mbv2_160_035"),
    (COMPACT, "nano_64k_sdram", "mlperf_vww_mbv1_96"),
    (COMPACT, "nano_64k_sdram", "mlperf_ad_fc_ae")])
def test_large_networks_from_the_sdram_are_exact(name, target, network, models):
    graph = (mobilenet_v2().graph if network == "mobilenet_v2"
             else load_model(models / f"{network}.tflite"))
    described = load_board(name)
    program = compile(graph, target=described.config(target), outside=described.outside(target))
    inputs = random_input(graph, 1)
    values = golden.run(graph, inputs)
    with devices.open(f"sim:{name}") as board:
        session = Session(program, board)
        outputs = session.run(inputs)
        for tensor in program.outputs:
            np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])
        assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=0.03)
