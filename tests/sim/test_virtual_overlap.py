"""Boards at their pins that serve memory during runs: double-buffered streams in the line's time.
"""

import dataclasses
import sys
import types
from itertools import islice, pairwise

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.spi_port import FakePort, World

from kaniwa import Session, estimate, golden
from kaniwa.boards.board import load_board
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.frames import encode_request
from kaniwa.driver.link import writes
from kaniwa.errors import ConfigError
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.board.ethernet_pins import EthernetPins
from kaniwa.sim.board.ethernet_transport import EthernetTransport
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.board.spi_pins import SpiPins
from kaniwa.sim.worlds.random_graphs import random_graph, random_input
from kaniwa.sim.worlds.serial_config import SERIAL

pytestmark = pytest.mark.rtl
GRAPH = random_graph(3, "conv", macs=1 << 12)
INFERENCES = 6
LEAST = 0.95        # of what the line allows


def overlapping(name, overlap=True):
    """The board of a name, as one that is built to serve memory during runs."""
    return dataclasses.replace(load_board(name), overlap=overlap)


def stream(device, program, count=INFERENCES):
    """Double-buffered inferences, exact; tells of each whether the next one was begun by then."""
    graph = program.graph
    given = [random_input(graph, seed) for seed in range(count)]
    session = Session(program, device)
    for inputs, outputs in zip(given, session.map(given), strict=True):
        expected = golden.run(graph, inputs)
        for tensor in program.outputs:
            np.testing.assert_array_equal(outputs[tensor.name], expected[tensor.id])
        yield device.under_way is not None
    # The host's accesses take a cycle each at most.
    moved = sum(program.tensor(i).bytes for i, _ in program.second_places)
    cycles = estimate(program).cycles
    assert 0.97 * cycles <= session.stats.cycles <= 1.03 * cycles + moved


def cycles_of_inputs(device, program, line):
    """Cycles that the frames of an inference's inputs alone take on the line."""
    (run,) = program.runs
    frames = [encode_request(request, 0) for i in run.takes for request in writes(
        device._link, 1, bytes([85]) * program.tensor(i).bytes)]
    return sum(map(len, frames)) * line.byte_cycles


def assert_takes_the_lines_time(design, program, overlaps):
    """The least share of the line's time; without overlapping it is less than that."""
    line = PinTransport(design)
    with BoardDevice("board", connect=lambda: line) as device:
        assert device.serves == overlaps
        begun_at, start = [], device.start

        def noted(*arguments):
            begun_at.append(line.line_cycles)
            return start(*arguments)

        device.start = noted
        assert (sum(stream(device, program)) > 0) == overlaps
        allowed = cycles_of_inputs(device, program, line)
        assert device.link_statistics.repeated == device.link_statistics.timeouts == 0
    took = [after - before for before, after in pairwise(begun_at)][1:]   # the first gives nothing
    assert len(took) == INFERENCES - 2 and max(took) <= 1.001 * min(took), took
    share = allowed / max(took)
    assert (share >= LEAST) == overlaps, share
    print(f"{share:.1%} of what the line allows, {max(took)} cycles")


@pytest.mark.parametrize("overlaps", [False, True])
def test_a_stream_takes_the_time_of_its_inputs_on_the_line(overlaps):
    b = GraphBuilder()
    x = b.tensor((1, 16, 16, 16))
    graph = b.graph((x,), (b.fully_connected(b.reshape(x, (1, 4096)), 10),))
    program = compile(graph, "nano", double_buffered=overlaps)
    assert estimate(program).cycles > 10_000
    design = board_design(overlapping("icebreaker", overlaps))
    assert_takes_the_lines_time(design, program, overlaps)


@pytest.mark.long
@pytest.mark.parametrize("overlaps", [False, True])
def test_resnet8_takes_the_time_of_its_inputs_on_the_line(overlaps, models):
    """At the baud of the bitstream."""
    program = compile(models / "mlperf_ic_resnet8.tflite", "base", double_buffered=overlaps)
    board = overlapping("ulx3s_85f", overlaps)
    design = board_design(board, baud=board.baud)
    assert_takes_the_lines_time(design, program, overlaps)


def test_a_virtual_board_is_named_so():
    program = compile(GRAPH, "nano", double_buffered=True)
    with devices.open("sim:icebreaker?overlap=1") as board:
        assert sum(stream(board, program)) == INFERENCES - 1
    with devices.open("sim:icebreaker?overlap=0") as board:
        assert not sum(stream(board, program, 2))


def test_several_cores_at_once():
    """Each core's memory is served during its own runs, and those of the other one."""
    program = compile(GRAPH, SERIAL, double_buffered=True)
    line = PinTransport(board_design(overlapping("ulx3s_25f"), SERIAL, cores=2))
    shared = devices_of(line)
    streams = [stream(device, program) for device in shared]
    begun = list(zip(*streams, strict=True))
    assert all(map(all, islice(begun, INFERENCES - 1)))
    for device in shared:
        device.close()


def devices_of(line):
    from kaniwa.driver.cores.line import SharedLine

    shared = SharedLine(lambda: line)
    return [BoardDevice(f"core {core}", line=shared, core=core, target=SERIAL)
            for core in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("name, kind", [("ulx3s_25f_sdram", "conv"),
                                        ("colorlight_i5_sdram", "transpose")])
def test_inputs_and_outputs_in_sdram(name, kind):
    """Rows of the transposed tensor are no whole words, so that the second chip merges them."""
    config = dataclasses.replace(PRESETS["small"], memory_bytes=512, name="small-outside")
    program = compile(random_graph(3, kind, macs=1 << 14), config, double_buffered=True,
                      outside=load_board(name).outside("small"))
    assert any(program.tensor(i).address >> 31 for i, _ in program.second_places)
    line = PinTransport(board_design(overlapping(name), config))
    with BoardDevice("board", connect=lambda: line, target=config) as device:
        assert sum(stream(device, program)) == INFERENCES - 1


@pytest.mark.slow
def test_a_stream_over_ethernet():
    program = compile(GRAPH, SERIAL, double_buffered=True)
    line = EthernetTransport(EthernetPins(board_design(overlapping("colorlight_eth"), SERIAL)))
    with BoardDevice("board", connect=lambda: line, target=SERIAL) as device:
        assert sum(stream(device, program)) == INFERENCES - 1


@pytest.mark.slow
def test_a_stream_over_spi(tmp_path, monkeypatch):
    (tmp_path / "port").touch()
    pins = SpiPins(board_design(overlapping("ulx3s_25f"), SERIAL, link="spi"))
    world = World(tmp_path / "port", pins)
    monkeypatch.setitem(sys.modules, "spidev",
                        types.SimpleNamespace(SpiDev=lambda: FakePort(world)))
    with world.board(target=SERIAL) as device:
        program = compile(GRAPH, SERIAL, double_buffered=True)
        assert sum(stream(device, program)) == INFERENCES - 1


def test_a_standalone_board_does_not_serve():
    with pytest.raises(ConfigError, match="starts from flash does not serve memory during runs"):
        board_design(overlapping("ulx3s_25f"), SERIAL, standalone=True).rtlil()
