"""Legacy uint8 on the accelerator: int8 activations, weights of more than one int8 addend."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

import kaniwa
from kaniwa import golden
from kaniwa.compiler.plan.plan import Options, Plan
from kaniwa.compiler.plan.rescale import average_pool_half_up
from kaniwa.compiler.plan.visits import addends
from kaniwa.compiler.rewrite.refusal import why_not
from kaniwa.config import PRESETS
from kaniwa.data.inputs import recorded_inputs
from kaniwa.errors import ProgramError
from kaniwa.graph import Graph, Quantization, check
from kaniwa.importers import load_model
from kaniwa.isa import Mode
from kaniwa.program.file import load_program, save_program
from kaniwa.program.program import Program, TensorInfo
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff

CORAL = "coral_mbv1_025_128_u8.tflite"
NINE_BITS = np.arange(-255, 256)


def uint8(graph: Graph, weights: dict[int, np.ndarray], zero: int) -> Graph:
    """``graph`` in uint8, with ``weights`` (uint8, by tensor) of zero point ``zero``."""
    tensors = []
    for t in graph.tensors:
        q = t.quantization
        if t.id in weights:
            t = replace(t, dtype="uint8", data=weights[t.id],
                        quantization=Quantization((0.01,), (zero,)))
        elif t.dtype == "int8" and q is not None:
            t = replace(t, dtype="uint8", quantization=replace(
                q, zero_points=(q.zero_point + 128,)))
        tensors.append(t)
    return check(replace(graph, tensors=tuple(tensors)))


def convolution(channels: int, zero: int, wide: dict[int, int], depthwise: bool = False,
                **options: tuple[int, int]) -> Graph:
    """A layer whose weights are within int8 of ``zero``, but for one of the ``wide`` channels."""
    b = GraphBuilder(1)
    x = b.tensor((1, 6, 7, channels), 0.1, 5)
    y = b.conv(x, channels, depthwise=int(depthwise), **options)
    (position, shape), = [(t.id, t.shape) for t in b.tensors
                          if t.data is not None and t.data.dtype == np.int8]
    data = np.clip(zero + b.rng.integers(-99, 100, shape), 0, 255).astype(np.uint8)
    for channel, value in wide.items():
        data[(0, 1, 2, channel) if depthwise else (channel, 1, 2, 0)] = value
    return uint8(b.graph((x,), (y,)), {position: data}, zero)


def visited(program: Program) -> list[int]:
    """How often each instruction of the program reads its windows."""
    return [i["segments"] if i["mode"] == Mode.DENSE and not i["segment_step"] else 1
            for i in program.instructions if i["opcode"]]


def is_exact(program: Program, graph: Graph) -> bool:
    return all(diff(program, ["golden", "emulator"], random_input(graph, seed))
               ["first_difference"] is None for seed in (0, 1))


@pytest.mark.parametrize("weights", [NINE_BITS, np.array([255, -255, 0]), np.zeros(4, int)])
def test_addends_are_int8_and_add_up(weights: np.ndarray) -> None:
    parts = addends(weights)
    assert all(part.dtype == np.int8 for part in parts)
    total = sum((part.astype(int) for part in parts), np.zeros(len(weights), int))
    assert np.array_equal(total, weights)
    # Partial sums stay within what is proved of the whole.
    assert all((part.astype(int) * weights >= 0).all() for part in parts)
    assert len(parts) == {511: 3, 3: 3, 4: 0}[len(weights)]


def test_two_addends_do_unless_a_weight_is_255() -> None:
    assert len(addends(NINE_BITS[:-1])) == 2


@pytest.mark.parametrize("target", ["small", "base", "large"])
def test_only_blocks_with_a_weight_beyond_int8_read_twice(target: str) -> None:
    graph = convolution(64, 160, {40: 0})
    program = kaniwa.compile(graph, target, outside="ideal", require_accelerator=True)
    lanes = PRESETS[target].out_lanes
    twice = [i for i, times in zip(program.instructions, visited(program), strict=False)
             if times == 2]
    assert sum(i["blocks"] for i in twice) == 1 and twice[0]["block_width"] == lanes
    assert set(visited(program)) == {1, 2} and is_exact(program, graph)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("zero, value, times", [(0, 255, 3), (255, 0, 2), (128, 0, 1)])
@pytest.mark.parametrize("target", ["nano", "base"])
def test_weights_as_far_from_zero_as_can_be_are_exact(
        target: str, zero: int, value: int, times: int, depthwise: bool) -> None:
    graph = convolution(16, zero, {3: value, 12: value}, depthwise)
    program = kaniwa.compile(graph, target, require_accelerator=True)
    assert max(visited(program)) == times and is_exact(program, graph)


@pytest.mark.parametrize("options", [{"dilation": (2, 3)}, {"stride": (2, 2)}, {"kernel": (1, 5)},
                                     {"kernel": (5, 1), "dilation": (1, 2)}, {"kernel": (6, 7)}])
@pytest.mark.parametrize("depthwise", [False, True])
def test_other_windows_are_exact(depthwise: bool, options: dict[str, tuple[int, int]]) -> None:
    b = GraphBuilder(2)
    x = b.tensor((1, 9, 14, 24), 0.1, -7)
    y = b.conv(x, 24, depthwise=int(depthwise), activation="RELU6", **options)
    position, = [t.id for t in b.tensors if t.data is not None and t.data.dtype == np.int8]
    data = b.rng.integers(0, 256, b.tensors[position].shape, np.uint8)
    graph = uint8(b.graph((x,), (y,)), {position: data}, 77)
    program = kaniwa.compile(graph, "base", require_accelerator=True)
    assert max(visited(program)) == 2 and is_exact(program, graph)


def test_mean_of_unsigned_values_rounds_as_litert() -> None:
    for count in (1, 2, 3, 4, 6, 9, 49):
        sums = np.arange(255 * count + 1)
        signed = sums - 128 * count
        expected = (sums + count // 2) // count - 128
        assert np.array_equal(average_pool_half_up(count, 1).function(signed[None])[0], expected)


@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools_of_uint8_are_exact(kind: str) -> None:
    b = GraphBuilder(4)
    x = b.tensor((1, 8, 8, 12), 0.1, -128)
    graph = uint8(b.graph((x,), (b.pool(b.pool(x, kind, (2, 2), (2, 2)), kind, (3, 3)),)), {}, 0)
    program = kaniwa.compile(graph, "base", require_accelerator=True)
    assert is_exact(program, graph)


def test_a_uint8_add_runs_on_the_host_and_says_why() -> None:
    b = GraphBuilder()
    x, z = b.tensor((1, 4, 4, 2)), b.tensor((1, 4, 4, 2))
    graph = uint8(b.graph((x, z), (b.add(x, z),)), {}, 0)
    plan = Plan(graph, graph, PRESETS["base"], Options())
    assert why_not(plan, 0) == "'t0' is uint8; quantize the model to int8"


def test_device_memory_has_uint8_less_128() -> None:
    tensor = TensorInfo(0, "x", (3,), "uint8", 1.0, 128, 0, "input", None, -1, None)
    value = np.array([0, 128, 255], np.uint8)
    assert np.frombuffer(tensor.to_device(value), np.int8).tolist() == [-128, 0, 127]
    back = tensor.from_device(tensor.to_device(value))
    assert back.dtype == np.uint8 and np.array_equal(back, value)


def test_a_program_file_with_uint8_tensors_comes_back(tmp_path: Path) -> None:
    program = kaniwa.compile(convolution(8, 200, {1: 0}), "base")
    save_program(program, tmp_path / "u.kaniwa")
    assert load_program(tmp_path / "u.kaniwa").inputs[0].dtype == "uint8"
    bad = replace(program, tensors=(replace(program.tensors[0], dtype="bool"),
                                    *program.tensors[1:]))
    save_program(bad, tmp_path / "bad.kaniwa")
    with pytest.raises(ProgramError, match="device memory"):
        load_program(tmp_path / "bad.kaniwa")


def test_every_tensor_of_the_legacy_mobilenet_is_exact(models: Path) -> None:
    graph = load_model(models / CORAL)
    program = kaniwa.compile(graph, "base", outside="ideal", materialize=True)
    assert [op.kind for op in program.host_ops] == ["SOFTMAX"]
    sample = recorded_inputs(models / CORAL, program.inputs)[0]
    found = diff(program, ["golden", "emulator"], sample)
    assert found["first_difference"] is None and found["tensors"] == len(graph.ops) - 1


@pytest.mark.parametrize("target", ["small", "base", "large"])
def test_the_legacy_mobilenet_is_exact(target: str, models: Path) -> None:
    graph = load_model(models / CORAL)
    program = kaniwa.compile(graph, target, outside="ideal")
    assert {1, 2} <= set(visited(program))
    for sample in recorded_inputs(models / CORAL, program.inputs)[:2]:
        with kaniwa.open("emulator", target=target, outside="ideal") as device:
            output, = kaniwa.Session(program, device).run(sample).values()
        assert np.array_equal(output, golden.run(graph, sample)[graph.outputs[0]])
