"""What the accelerator cannot take runs on the host: before, between and behind its parts."""

import random
from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.sandwich import sandwich

from kaniwa import Session, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.rewrite import partition as partition_pass
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.link_time import link_time
from kaniwa.errors import CompileError
from kaniwa.graph import Graph, Tensor
from kaniwa.program.assembler import assemble, disassemble
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.program.program import Program
from kaniwa.program.summary import summary
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.sim.worlds.serial_config import SERIAL
from kaniwa.verify.diff import diff

BASE = PRESETS["base"]


def wheres(program: Program) -> list[str]:
    return [step.where for step in program.steps]


def assert_exact(program: Program, graph: Graph, seeds: range = range(2)) -> None:
    """Two inferences each, from the program and from its file, on the emulator."""
    for loaded in (program, from_bytes(to_bytes(program))):
        with devices.open("emulator", outside=program.outside) as device:
            session = Session(loaded, device)
            for seed in seeds:
                inputs = random_input(graph, seed)
                expected = golden.run(graph, inputs)
                got = session.run(inputs)
                for i in graph.outputs:
                    assert np.array_equal(got[graph.tensors[i].name], expected[i])


@pytest.mark.parametrize("materialize", [False, True])
@pytest.mark.parametrize("target", ["base", "nano", "xl"])
def test_host_parts_stand_between_parts_of_the_device(target: str, materialize: bool) -> None:
    graph = sandwich()
    program = compile(graph, target, materialize=materialize,
                      outside="ideal" if target == "xl" else None)
    assert wheres(program) == ["device", "host", "device", "host"]
    first, host, second, last = program.steps
    assert first.takes == graph.inputs and host.takes == first.gives
    assert second.takes == host.gives == graph.ops[2].outputs
    assert summary(program)["host_segments"] == {      # the SOFTMAX behind all is none
        "count": 1, "operators": 1, "bytes_from_device": 144, "bytes_to_device": 144}
    assert second.holds == graph.ops[0].outputs
    assert last.gives == graph.outputs[:1] and graph.outputs[1] in second.gives
    assert_exact(program, graph)
    for seed in range(2):
        found = diff(program, ["golden", "emulator"], random_input(graph, seed))
        assert found["first_difference"] is None and found["tensors"] >= 4


def maps() -> Graph:
    """A small network of maps that shrink and grow, with a class of each pixel."""
    b = GraphBuilder(3)
    x = b.tensor((1, 15, 15, 3))
    padded = b.op("PAD", (x,), b.tensor((1, 17, 17, 3)),
                  paddings=((0, 0), (1, 1), (1, 1), (0, 0)))
    skip = b.conv(padded, 8, (3, 3), (2, 2), pad=0)
    deep = b.conv(b.pool(skip, "AVERAGE_POOL_2D", (3, 3), (2, 2), pad=1), 16)
    steps = b.steps(skip)
    up = b.requantized(b.transpose_conv(deep, 8), *steps)
    joined = b.op("CONCATENATION", (up, skip), b.tensor((1, 8, 8, 16), *steps), axis=3)
    y = b.conv(joined, 5, (1, 1))
    large = b.op("RESIZE_BILINEAR", (y,), b.tensor((1, 16, 16, 5), *b.steps(y)), "litert_bilinear",
                 align_corners=False, half_pixel_centers=True)
    b.tensors.append(Tensor(len(b.tensors), "classes", (1, 16, 16), "int32"))
    return b.graph((x,), (b.op("ARG_MAX", (large,), len(b.tensors) - 1, axis=3),))


@pytest.mark.parametrize("materialize", [False, True])
def test_maps_that_shrink_and_grow_stay_on_the_device(materialize: bool) -> None:
    graph = maps()
    program = compile(graph, require_accelerator=True, materialize=materialize)
    assert wheres(program) == ["device"]
    assert summary(program)["host_segments"]["count"] == 0
    assert_exact(program, graph)
    found = diff(program, ["golden", "emulator"], random_input(graph, 0))
    assert found["first_difference"] is None


def test_host_comes_first_where_it_must() -> None:
    b = GraphBuilder()
    x, z = b.tensor((1, 4, 4, 2)), b.tensor((1, 4, 4, 4))
    y = b.conv(b.softmax(b.reshape(x, (1, 4, 2, 4))), 4, (1, 1))
    graph = b.graph((x, z), (y, b.conv(z, 4)))
    program = compile(graph)
    assert wheres(program) == ["host", "device"]
    assert [op.kind for op in program.host_ops] == ["RESHAPE", "SOFTMAX"]
    assert program.tensor(x).address is None and program.tensor(z).address is not None
    assert_exact(program, graph)


def test_a_model_for_the_host_alone_runs() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8))
    graph = b.graph((x,), (b.softmax(b.softmax(x)),))
    program = compile(graph)
    assert wheres(program) == ["host"] and program.images == () and program.local_bytes == 0
    assert summary(program)["host_segments"]["count"] == 0
    assert summary(program)["cycles"] == 0 and link_time(program, 1e5).seconds == 0
    assert_exact(program, graph)
    assert assemble(disassemble(program)) == to_bytes(program)
    with pytest.raises(CompileError, match="op 0 SOFTMAX 'softmax0': target 'base' has no vector "
                                           "unit; .*; or compile without --require-accel"):
        compile(graph, require_accelerator=True)


def test_what_a_pass_refuses_goes_to_the_host_with_the_reason() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 8))
    y = b.conv(b.conv(b.conv(x, 3), 8), 3)
    bias = b.ops[1].inputs[2]
    b.tensors[bias] = replace(b.tensors[bias], data=np.array([0, (1 << 31) - 1] * 4, np.int32))
    graph = b.graph((x,), (y,))
    program = compile(graph)
    assert wheres(program) == ["device", "host", "device"]
    (op,) = program.host_ops
    assert op.name == "conv_2d1" and op.why.startswith("channel 1: the accumulator may reach")
    with pytest.raises(CompileError, match="'conv_2d1': channel 1: the accumulator .*; or compile "
                                           "without --require-accelerator"):
        compile(graph, require_accelerator=True)

    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 800))
    graph = b.graph((x,), (b.conv(b.conv(x, 4), 4, (1, 1)),))
    program = compile(graph, SERIAL, outside="ideal")
    assert wheres(program) == ["host", "device"]
    assert "exceed the line buffer" in program.host_ops[0].why
    assert_exact(program, graph, range(1))


def network(seed: int) -> Graph:
    """Branches that join, over all that the accelerator has."""
    b, rng = GraphBuilder(seed), random.Random(seed)
    x = b.tensor((1, 6, 5, 4), 0.5, -20)
    made = [x, b.conv(x, 4)]
    kinds = [
        lambda a: b.conv(a, 4, activation="RELU"), lambda a: b.conv(a, 4, depthwise=1),
        lambda a: b.add(a, rng.choice(made)), lambda a: b.elementwise("MUL", a, b.constant(7)),
        b.relu, lambda a: b.elementwise("SUB", a, rng.choice(made)),
        lambda a: b.reshape(b.reshape(a, (1, 30, 2, 2)), (1, 6, 5, 4))]
    for _ in range(rng.randint(4, 9)):
        made.append(rng.choice(kinds)(rng.choice(made[-3:])))
    return b.graph((x,), tuple(dict.fromkeys((made[-1], rng.choice(made[1:])))))


@pytest.mark.parametrize("seed", range(30))
def test_any_split_is_exact_at_every_stored_tensor(seed: int,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    graph, rng = network(seed), random.Random(seed)
    on_host = {i for i in range(len(graph.ops)) if rng.random() < 0.35}
    monkeypatch.setattr(partition_pass, "why_not", lambda plan, position: "drawn"
                        if position in on_host else None)
    program = compile(graph, BASE, materialize=seed % 3 == 0, keep_dead_channels=seed % 3 == 1)
    device = {layer.op for layer in program.layers}
    assert len(program.host_ops) >= len(on_host) and (device or not program.runs)
    found = diff(program, ["golden", "emulator"], random_input(graph, seed))
    assert found["first_difference"] is None
    assert_exact(program, graph, range(1))
    assert assemble(disassemble(program)) == to_bytes(program)
    assert estimate(program).cycles == summary(program)["cycles"] == sum(
        layer["cycles"] for layer in summary(program)["layers"])
