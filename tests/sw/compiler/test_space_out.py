"""Maps with gaps: depthwise layers of any number of channels run by columns, exact to the bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.odd_channels import noise, odd_network

from kaniwa import golden
from kaniwa.benchmark.networks.network import Network
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.devices import open as open_device
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, ProgramError
from kaniwa.graph import Graph
from kaniwa.isa import Mode
from kaniwa.program.file import from_bytes, load_program, save_program, to_bytes
from kaniwa.program.program import Program, TensorInfo
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff

SEEDS = 24


def wrong(program: Program, graph: Graph, seed: int = 1) -> list[str]:
    """The tensors left in memory that differ from golden, in which gaps are full of noise."""
    inputs = random_input(graph, seed)
    expected = golden.run(graph, inputs)
    with open_device("emulator", target=program.config, outside=program.outside) as device:
        device.write(0, noise(program.local_bytes, seed))
        session = Session(program, device)
        session.run(inputs)
        return [t.name for t in program.tensors
                if t.address is not None and t.overwritten is None
                and not np.array_equal(session.read(t), t.stored(expected[t.id]))]


def spaced(program: Program) -> list[TensorInfo]:
    return [t for t in program.tensors if t.axes is not None]


def modes(program: Program) -> list[Mode]:
    """Of the layers, in their order."""
    return [Mode(program.instructions[layer.instructions[0]]["mode"]) for layer in program.layers]


def depthwise_between(rows: int, columns: int, channels: int, stride: int = 1) -> Graph:
    """A 3x3 depthwise layer between dense ones."""
    network = Network("between", 1)
    image = network.input(1, rows, columns, 8)
    inner = network.depthwise(network.conv(image, channels, 1), 3, stride)
    return network.file((image,), (network.conv(inner, channels, 1),)).graph


def mobile(counts: tuple[int, ...], kernel: int = 3) -> Graph:
    """A network of depthwise layers, some of stride 2, with skip connections."""
    network = Network("mobile", 1)
    image = network.input(1, 56, 56, 3)
    x = network.conv(image, counts[0], 3, 2, "RELU6")
    for stage, channels in enumerate(counts):
        x = network.depthwise(x, kernel, 2 if stage else 1, "RELU6")
        x = network.conv(x, channels, 1, 1, "RELU6")
        x = network.add(x, network.conv(network.depthwise(x, kernel, 1, "RELU6"), channels, 1))
    x = network.fully_connected(network.global_average(x), 10)
    return network.file((image,), (x,)).graph


@pytest.mark.parametrize("unsigned", [False, True])
def test_random_networks_are_exact(unsigned: bool) -> None:
    maps = copies = 0
    for seed in range(SEEDS):
        graph = odd_network(seed, unsigned)
        program = compile(graph, ("base", "large")[seed % 2], outside="ideal")
        maps += len(spaced(program))
        copies += sum(layer.op == "SPACED" for layer in program.layers)
        assert wrong(program, graph, seed) == [], seed
    assert maps > SEEDS and copies > SEEDS / 4


@pytest.mark.parametrize("target", ["base", "large"])
@pytest.mark.parametrize("rows, columns, channels", [
    (56, 56, 12), (12, 12, 20), (20, 20, 40), (28, 28, 24), (30, 30, 4), (13, 13, 17), (7, 7, 40)])
def test_a_column_takes_little_more_than_a_cycle(rows: int, columns: int, channels: int,
                                                 target: str) -> None:
    """With stride 1 a row of a block has a column more than results; ``large`` lacks slots."""
    graph = depthwise_between(rows, columns, channels)
    program = compile(graph, target, require_accelerator=True, outside="ideal")
    assert modes(program) == [Mode.DENSE, Mode.COLUMN, Mode.DENSE] and wrong(program, graph) == []
    layers = estimate(program).per_tag([layer.tag for layer in program.layers])
    steps = rows * (columns + 1) * -(-channels // 8)
    assert steps <= layers[1].cycles <= steps * (1.02 if target == "base" else 1.12) + 4 * rows


def test_stride_2_takes_two_columns_a_result() -> None:
    program = compile(depthwise_between(56, 56, 12, 2), "base", require_accelerator=True)
    layers = estimate(program).per_tag([layer.tag for layer in program.layers])
    assert 2 * 28 * 28 * 2 <= layers[1].cycles <= 2 * 28 * 28 * 2 * 1.03


@pytest.mark.parametrize("target, most, most_of_5", [("base", 16_100, 55_400),
                                                     ("large", 15_500, 54_400)])
def test_a_mobile_network_of_12_20_and_28_channels(target: str, most: int, most_of_5: int) -> None:
    """It took 50,962 cycles on base tap by tap, and 122,306 with kernels of 5 by 5."""
    for kernel, bar in ((3, most), (5, most_of_5)):
        graph = mobile((12, 20, 28), kernel)
        program = compile(graph, target, require_accelerator=True)
        assert wrong(program, graph) == [] and estimate(program).cycles <= bar


def test_maps_of_whole_lanes_and_reads_have_no_gaps() -> None:
    assert not spaced(compile(depthwise_between(16, 16, 24), "base"))
    assert not spaced(compile(depthwise_between(14, 14, 12), "nano"))


def test_an_input_is_copied_and_stays_as_it_is() -> None:
    b = GraphBuilder(1)
    x = b.tensor((2, 14, 14, 12))
    graph = b.graph((x,), (b.conv(x, 12, depthwise=1),))
    program = compile(graph, "base")
    assert [layer.op for layer in program.layers] == ["SPACED", "DEPTHWISE_CONV_2D"]
    assert [t.bytes for t in program.inputs] == [2 * 14 * 14 * 12] and wrong(program, graph) == []


def test_rows_that_are_no_whole_reads_get_gaps_behind_them() -> None:
    b = GraphBuilder(2)
    x = b.tensor((2, 9, 11, 8))
    graph = b.graph((x,), (b.conv(b.conv(x, 8, (1, 1)), 8, depthwise=1),))
    program = compile(graph, "base")
    (made,) = spaced(program)
    assert made.axes == ((2, 9 * 96), (9, 96), (11, 8), (8, 1)) and wrong(program, graph) == []


def test_a_dense_layer_has_weights_of_zero_for_gaps() -> None:
    b = GraphBuilder(3)
    x = b.tensor((1, 16, 16, 8))
    inner = b.conv(x, 12, (1, 1))
    outputs = b.conv(inner, 12, depthwise=1), b.fully_connected(inner, 3), b.conv(inner, 5)
    graph = b.graph((x,), outputs)
    program = compile(graph, "base", require_accelerator=True)
    assert [t.name for t in spaced(program)] == [graph.tensors[inner].name]
    assert wrong(program, graph) == []


@pytest.mark.parametrize("depth", [12, 16])
def test_operands_may_have_gaps_that_the_sum_has_not(depth: int) -> None:
    """And the other way around: ``a`` or the sum is read by columns."""
    b = GraphBuilder(4)
    x, z = b.tensor((2, 13, 13, 8)), b.tensor((2, 13, 13, 12))
    a = b.conv(x, 12, (1, 1))
    first, second = b.add(b.conv(x, 12, (1, 1)), a), b.add(b.conv(x, 12, (1, 1)), z)
    outputs = b.conv(a, 12, depthwise=1), b.conv(first, depth, (1, 1)), b.conv(
        second, 12, depthwise=1)
    graph = b.graph((x, z), outputs)
    program = compile(graph, "base", require_accelerator=True)
    pitches = {(i["ofm_pixel_pitch"], i["operand_pixel_pitch"]) for i in program.instructions
               if i.get("add")}
    assert pitches == {(12, 16), (16, 12)} and wrong(program, graph) == []


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_maps_side_by_side_and_halves_have_gaps(axis: int, batch: int) -> None:
    """Where a run of moved bytes is in a pixel; else what columns read is a copy."""
    b = GraphBuilder(5)
    x = b.tensor((batch, 14, 14, 8))
    parts = tuple(b.conv(x, 12, (1, 1)) for _ in range(2))
    shape = [n * (1 + (number == axis)) for number, n in enumerate(b.tensors[parts[0]].shape)]
    joined = b.op("CONCATENATION", parts, b.tensor(tuple(shape), *b.steps(parts[0])), axis=axis)
    whole = b.conv(x, 12, (1, 1))
    half = b.tensor((batch, 14, 7, 12), *b.steps(whole))
    b.op("SLICE", (whole,), half, begin=(0, 0, 7, 0), end=(batch, 14, 14, 12), stride=(1,) * 4)
    outputs = b.conv(joined, shape[3], depthwise=1), b.conv(whole, 12, depthwise=1), b.conv(
        half, 12, depthwise=1), b.conv(parts[0], 12, depthwise=1)
    graph = b.graph((x,), outputs)
    program = compile(graph, "base", require_accelerator=True, outside="ideal")
    assert {t.name for t in spaced(program)} >= ({graph.tensors[parts[0]].name} if axis == 3
                                                 else set())
    assert modes(program).count(Mode.COLUMN) == 4 and wrong(program, graph) == []


def test_gaps_that_memory_has_no_room_for_are_left_out() -> None:
    graph = depthwise_between(56, 56, 12)
    need = compile(graph, "base").local_bytes
    tight = replace(PRESETS["base"], memory_bytes=need - 4096, name="tight")
    program = compile(graph, tight)
    assert not spaced(program) and wrong(program, graph) == []
    with pytest.raises(CompileError) as plain:
        compile(graph, replace(tight, memory_bytes=32 * 1024))
    with pytest.raises(CompileError, match=r"needs \d+ KiB") as options:
        compile(graph, replace(tight, memory_bytes=32 * 1024, depthwise=False,
                               phase_windows=False))
    assert str(plain.value).split("tensors")[1] == str(options.value).split("tensors")[1]


def test_gaps_are_weighed_against_what_they_push_outside() -> None:
    graph = mobile((12, 20, 28))
    cycles = {}
    for kib in (8, 24, 32):
        config = replace(PRESETS["base"], memory_bytes=kib * 1024, name=f"b{kib}")
        program = compile(graph, config, outside="sdram")
        assert spaced(program) and program.outside and wrong(program, graph) == []
        cycles[kib] = estimate(program).cycles
    assert cycles[8] < 51_000 and cycles[24] < 28_000 and cycles[32] < 16_500
    none = replace(PRESETS["base"], memory_bytes=0, name="none")
    for slow in ("sdram", "sdram,part=IS42S16160G"):
        assert not spaced(compile(graph, none, outside=slow))
    assert spaced(compile(graph, none, outside="ideal"))


def test_tensors_with_gaps_can_be_looked_at() -> None:
    graph = mobile((12, 20))
    program = compile(graph, "base")
    found = diff(program, ["golden", "emulator"], random_input(graph, 1))
    assert found["first_difference"] is None and found["tensors"] > len(spaced(program)) > 4


def test_a_program_file_has_the_gaps(tmp_path: Path) -> None:
    program = compile(depthwise_between(14, 14, 12), "base")
    save_program(program, tmp_path / "a.kaniwa")
    assert load_program(tmp_path / "a.kaniwa").tensors == program.tensors
    (made, *_) = spaced(program)
    assert made.axes is not None
    for axes in ((), ((1, 1),), (*made.axes[:3], (12, 2)), (*made.axes[:2], (14, 8), (12, 1)),
                 (*made.axes[:2], (0, 16), (12, 1))):
        bad = replace(program, tensors=tuple(
            replace(t, axes=axes) if t is made else t for t in program.tensors))
        with pytest.raises(ProgramError, match="its gaps do not fit its shape"):
            from_bytes(to_bytes(bad))
    assert b'"axes"' not in to_bytes(compile(depthwise_between(16, 16, 8), "base"))
