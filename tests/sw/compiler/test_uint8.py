"""Legacy uint8 on the accelerator: int8 activations, weights with a zero point or two addends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.uint8_graphs import convolution, uint8, uint8_function

import kaniwa
from kaniwa import golden
from kaniwa.compiler.plan.fields import weight_zero_point
from kaniwa.compiler.plan.plan import Options, Plan
from kaniwa.compiler.plan.rescale import average_pool_half_up, tied
from kaniwa.compiler.plan.visits import addends
from kaniwa.compiler.rewrite.refusal import why_not
from kaniwa.compiler.rewrite.uint8_to_int8 import UINT8_FUNCTIONS
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


def visited(program: Program) -> list[int]:
    """How often each instruction of the program meets its windows."""
    return [i["chunks"] if i["mode"] == Mode.COLUMN else
            i["segments"] if i["mode"] == Mode.DENSE and not i["segment_step"] else 1
            for i in program.instructions if i["opcode"]]


def zero_points(program: Program) -> list[int]:
    return [i["weight_zero_point"] for i in program.instructions if i["opcode"]]


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


def of_blocks_met_twice(program: Program) -> list[dict[str, int]]:
    return [i for i, times in zip(program.instructions, visited(program), strict=False)
            if times == 2]


def test_only_blocks_with_a_weight_beyond_int8_read_twice_on_a_compact_core() -> None:
    graph = convolution(32, 160, {20: 0})
    program = kaniwa.compile(graph, "nano", require_accelerator=True)
    twice = of_blocks_met_twice(program)
    assert sum(i["blocks"] for i in twice) == 1
    assert twice[0]["block_width"] == PRESETS["nano"].out_lanes
    assert set(visited(program)) == {1, 2} and is_exact(program, graph)


@pytest.mark.parametrize("target", ["small", "base", "large"])
def test_dense_weights_beyond_int8_have_a_zero_point_and_take_no_cycle(target: str) -> None:
    graph = convolution(64, 160, {40: 0})      # the others are within 99 of it
    program = kaniwa.compile(graph, target, outside="ideal", require_accelerator=True)
    assert set(visited(program)) == {1} and set(zero_points(program)) == {32}
    assert is_exact(program, graph)


@pytest.mark.parametrize("target", ["base", "large"])
def test_a_block_of_columns_with_a_weight_beyond_int8_meets_its_window_twice(target: str) -> None:
    graph = convolution(64, 160, {27: 0}, depthwise=True)
    program = kaniwa.compile(graph, target, outside="ideal", require_accelerator=True)
    twice = of_blocks_met_twice(program)
    assert {i["mode"] for i in program.instructions if i["opcode"]} == {Mode.COLUMN}
    # Channels 24 to 31: the block begins in the middle of a word.
    assert sum(i["blocks"] for i in twice) == 1 and set(visited(program)) == {1, 2}
    assert is_exact(program, graph)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("zero, value, times", [(0, 255, 3), (255, 0, 2), (128, 0, 1)])
def test_weights_as_far_from_zero_as_can_be_are_exact_on_a_compact_core(
        zero: int, value: int, times: int, depthwise: bool) -> None:
    graph = convolution(16, zero, {3: value, 12: value}, depthwise)
    program = kaniwa.compile(graph, "nano", require_accelerator=True)
    assert max(visited(program)) == times and is_exact(program, graph)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("zero, value, zero_point", [(0, 255, -128), (255, 0, 127), (128, 0, 0)])
def test_weights_as_far_from_zero_as_can_be_are_exact(
        zero: int, value: int, zero_point: int, depthwise: bool) -> None:
    graph = convolution(16, zero, {3: value, 12: value}, depthwise)
    program = kaniwa.compile(graph, "base", require_accelerator=True)
    dense = [i["weight_zero_point"] for i in program.instructions
             if i["opcode"] and i["mode"] == Mode.DENSE]
    assert set(dense) <= {zero_point} and is_exact(program, graph)


@pytest.mark.parametrize("values, expected", [
    ([-128, 127], 0), ([-129, 0], 1), ([5, 128], -1), ([-255, 0], 127), ([0, 255], -128),
    ([-128, 128], 0), ([-255, 3], 0)])
def test_a_zero_point_is_as_near_to_zero_as_it_can_be(values: list[int], expected: int) -> None:
    assert weight_zero_point(np.array(values, np.int16), PRESETS["base"]) == expected
    assert weight_zero_point(np.array(values, np.int16), PRESETS["nano"]) == 0


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
    assert max(visited(program)) == 2 or any(zero_points(program))
    assert is_exact(program, graph)


def test_mean_of_unsigned_values_rounds_as_litert() -> None:
    for count in (1, 2, 3, 4, 6, 9, 49):
        sums = np.arange(255 * count + 1)
        signed = sums - 128 * count
        expected = (sums + count // 2) // count - 128
        accumulators = 2 * signed + 1 if tied(count) else signed
        rule = average_pool_half_up(count, 1)
        assert rule.odd == tied(count)
        assert np.array_equal(rule.function(accumulators[None])[0], expected)


@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools_of_uint8_are_exact(kind: str) -> None:
    b = GraphBuilder(4)
    x = b.tensor((1, 8, 8, 12), 0.1, -128)
    graph = uint8(b.graph((x,), (b.pool(b.pool(x, kind, (2, 2), (2, 2)), kind, (3, 3)),)), {}, 0)
    program = kaniwa.compile(graph, "base", require_accelerator=True)
    assert is_exact(program, graph)


@pytest.mark.parametrize("kind", UINT8_FUNCTIONS)
def test_functions_of_uint8_run_on_the_accelerator_and_are_exact(kind: str) -> None:
    graph = uint8_function(kind)
    program = kaniwa.compile(graph, "base_vector", require_accelerator=True)
    assert {t.dtype for t in (*program.inputs, *program.outputs)} == {"uint8"}
    assert is_exact(program, graph)


@pytest.mark.parametrize("source, result", [("uint8", "int8"), ("int8", "uint8")])
def test_bytes_change_their_sign_on_the_accelerator(source: str, result: str) -> None:
    graph = uint8_function("QUANTIZE")
    tensors = [replace(t, dtype=dtype) for t, dtype in zip(
        graph.tensors, (source, result), strict=True)]
    tensors = [replace(t, quantization=Quantization((0.05,), (3,))) if t.dtype == "int8" else t
               for t in tensors]
    graph = check(replace(graph, tensors=tuple(tensors)))
    program = kaniwa.compile(graph, "base", require_accelerator=True)
    assert [t.dtype for t in (*program.inputs, *program.outputs)] == [source, result]
    assert is_exact(program, graph)


def test_a_uint8_quotient_runs_on_the_host_and_says_why() -> None:
    b = GraphBuilder()
    x, z = b.tensor((1, 4, 4, 2)), b.tensor((1, 4, 4, 2))
    y = b.op("DIV", (x, z), b.tensor((1, 4, 4, 2)), "litert_div", activation="NONE")
    graph = uint8(b.graph((x, z), (y,)), {}, 0)
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
    assert any(zero_points(program)) and (2 in visited(program)) == (target != "small")
    for sample in recorded_inputs(models / CORAL, program.inputs)[:2]:
        with kaniwa.open("emulator", target=target, outside="ideal") as device:
            output, = kaniwa.Session(program, device).run(sample).values()
        assert np.array_equal(output, golden.run(graph, sample)[graph.outputs[0]])
