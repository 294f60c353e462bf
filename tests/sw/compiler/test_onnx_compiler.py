"""Operators of rule ``qdq`` on the accelerator: the emulator equals golden."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder
from builders.files.onnx_operators import DRAWS

import kaniwa
from kaniwa import golden
from kaniwa.compiler.array.elementwise import sum_of
from kaniwa.compiler.plan.rescale import float_half_even
from kaniwa.data.inputs import recorded_inputs
from kaniwa.emulator.requantize import requantize
from kaniwa.errors import CompileError
from kaniwa.graph import Graph, Op, Quantization, Tensor, check
from kaniwa.importers import load_model
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.program.summary import summary

ACCELERATED = ("Conv", "Gemm", "MatMul", "MatMul of two", "MatMul of a constant", "Add", "Sub",
               "Mul", "AveragePool", "GlobalAveragePool", "ReduceMean", "requantize", "Sigmoid",
               "HardSwish", "Reciprocal")
SEEDS = 10


def test_an_output_of_uint8_has_all_its_values_on_the_accelerator() -> None:
    """Its clamp, 0 to 255, is that of int8 once the device has it less 128."""
    b = OnnxBuilder(7, "uint8")
    b.quantized(b.node("Conv", [b.activation((1, 3, 6, 6), 0.02), b.weights((4, 3, 3, 3))]), 0.02)
    graph = import_onnx(b.model(b.nodes[-1].input[0], dtype="uint8"), "test.onnx")
    inputs = b.samples(1.0)
    expected = golden.run(graph, inputs)[graph.outputs[0]]
    assert expected.min() < 128 < expected.max()
    program = kaniwa.compile(graph, target="base")
    assert not any(op.kind == "QUANTIZE" and "uint8" in op.name for op in program.host_ops)
    with kaniwa.open("emulator") as device:
        (got,) = kaniwa.Session(program, device).run(inputs).values()
    np.testing.assert_array_equal(got, expected)


def alone(graph: Graph, op: Op) -> Graph:
    """The graph of one operator."""
    activations = tuple(i for i in op.inputs if i != -1 and graph.tensors[i].data is None)
    return check(replace(graph, ops=(op,), inputs=tuple(dict.fromkeys(activations)),
                         outputs=op.outputs))


@pytest.mark.parametrize("kind", ACCELERATED)
def test_emulator_equals_golden(kind: str) -> None:
    compiled = 0
    for seed in range(SEEDS):
        b = OnnxBuilder(seed, "uint8" if seed % 2 else "int8")
        graph = import_onnx(b.model(b.quantized(DRAWS[kind](b), b.scale(0.02, 0.4))), "test.onnx")
        for op in graph.ops:
            if op.rule != "qdq":
                continue
            part = alone(graph, op)
            try:
                program = kaniwa.compile(part, target="base_vector", require_accelerator=True)
            except CompileError:
                continue
            compiled += 1
            inputs = [b.rng.integers(-128, 128, graph.tensors[i].shape, np.int8)
                      for i in part.inputs]
            with kaniwa.open("emulator", target="base_vector") as device:
                result = kaniwa.Session(program, device).run(inputs)
            expected = golden.run(part, inputs)[op.outputs[0]]
            np.testing.assert_array_equal(next(iter(result.values())), expected, str((seed, op)))
    assert compiled >= 3


def sum_graph(scales: tuple[float, float, float], zero_points: tuple[int, int, int],
              kind: str) -> Graph:
    tensors = tuple(Tensor(i, f"t{i}", (1, 1, 256, 256), "int8",
                           Quantization((float(np.float32(s)),), (z,)), None, i)
                    for i, (s, z) in enumerate(zip(scales, zero_points, strict=True)))
    op = Op(kind, "sum", (0, 1), (2,), {"bounds": (-128, 127), "activation": "NONE",
                                        "source_kind": kind}, "qdq", 0)
    return check(Graph("sum", tensors, (op,), (0, 1), (2,)))


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("scales", [(0.5, 0.5, 1.0), (0.5, 0.25, 1.0), (0.1, 0.1, 0.2),
                                    (0.3, 0.017, 0.21), (2.0, 0.001, 1.0),
                                    (0.5132676362991333, 0.40338751673698425, 0.8067750334739685)])
def test_ties_of_sums_and_products_are_rounded_to_even(
        kind: str, scales: tuple[float, float, float]) -> None:
    """Every pair of operands, also where half of the results are ties."""
    graph = sum_graph(scales, (3, -7, 5), kind)
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    operands = [v.reshape(1, 1, 256, 256).astype(np.int8) for v in (a, b)]
    rescaled = sum_of(graph, graph.ops[0], 1, (-128, 127), 31, "sum")
    left, right = (rescaled.tables[i].astype(np.int64)[operands[i].astype(np.int64) + 128]
                   for i in (0, 1))
    total = left * right if kind == "MUL" else left + right
    r = rescaled.rescale
    result = requantize(total, r.multiplier[0], r.shift[0], r.rounding, 31) + r.zero_point
    expected = golden.run(graph, operands)[2]
    np.testing.assert_array_equal(np.clip(result, -128, 127), expected)
    assert np.unique(expected).size > 2


def test_half_even_rounds_ties_to_even() -> None:
    rule = float_half_even([0.5])
    values = np.array([[-5, -3, -1, 1, 3, 5, 2]])
    assert rule.function(values).tolist() == [[-2, -2, 0, 0, 2, 2, 1]]


@pytest.mark.parametrize("zeros", [np.uint8(7), np.array([255, 128, 9, 0], np.uint8)])
@pytest.mark.parametrize("target", ["nano", "base", "large"])
def test_weights_with_zero_points_are_exact(target: str, zeros: np.ndarray) -> None:
    b = OnnxBuilder(1)
    x = b.activation((1, 3, 6, 6))
    data = np.arange(108, dtype=np.uint8).reshape(4, 3, 3, 3) * 2
    w = b.node("DequantizeLinear", [
        b.constant(data), b.constant(np.full(zeros.shape, 0.01, np.float32)), b.constant(zeros)],
        axis=0)
    graph = import_onnx(b.model(b.quantized(b.node("Conv", [x, w]))), "test.onnx")
    op = next(op for op in graph.ops if op.kind == "CONV_2D")
    assert any(graph.tensors[op.inputs[1]].quantization.zero_points)
    part = alone(graph, op)
    program = kaniwa.compile(part, target=target, require_accelerator=True)
    inputs = [b.rng.integers(-128, 128, graph.tensors[i].shape, np.int8) for i in part.inputs]
    with kaniwa.open("emulator", target=target) as device:
        result = kaniwa.Session(program, device).run(inputs)
    expected = golden.run(part, inputs)[op.outputs[0]]
    np.testing.assert_array_equal(next(iter(result.values())), expected)


@pytest.mark.parametrize(("target", "materialize"), [("base", False), ("base", True),
                                                     ("nano", False), ("large", False)])
def test_resnet_is_exact_at_every_stored_tensor(target: str, materialize: bool,
                                                models: Path) -> None:
    graph = load_model(models / "onnx_mlperf_ic_qdq.onnx")
    program = kaniwa.compile(graph, target, materialize=materialize,
                             outside="ideal" if materialize else None)
    (sample, *_) = recorded_inputs(models / "onnx_mlperf_ic_qdq.onnx", program.inputs)
    expected = golden.run(graph, sample)
    with kaniwa.open("emulator", outside=program.outside) as device:
        session = kaniwa.Session(program, device)
        result = session.run(sample)
        np.testing.assert_array_equal(result["dense"], expected[graph.outputs[0]])
        stored = [t for t in program.tensors if t.address is not None and t.overwritten is None
                  and t.channels is None]
        for tensor in stored:
            np.testing.assert_array_equal(session.read(tensor), expected[tensor.id], tensor.name)
    assert len(stored) >= (15 if materialize else 1)
    rows = [row for layer in summary(program)["layers"] for row in layer["rounding"]]
    assert {row["rule"] for row in rows} == {"qdq"} and {row["form"] for row in rows} == {"EVEN"}
