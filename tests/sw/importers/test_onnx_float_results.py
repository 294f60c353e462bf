"""Results that a quantised ONNX model leaves in float32, or quantises only further on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from builders.files.onnx_compared import Compared
from builders.files.onnx_models import OnnxBuilder
from builders.files.onnx_operators import DRAWS

import kaniwa
from kaniwa import golden
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.importers.onnx.pending import TO_FLOAT
from kaniwa.importers.onnx.table import CASES

pytest.importorskip("onnxruntime")

KINDS = ("Conv", "Gemm", "MatMul", "MatMul of two", "linear", "Add", "Sub", "Mul", "Div",
         "Max", "Min", "ConvTranspose", "ReduceSum", "RNN", "LpPool", "GlobalLpPool", "Einsum",
         "Pad", "Resize",
         "BatchNormalization", "InstanceNormalization", "GroupNormalization", "slopes",
         "AveragePool", "GlobalAveragePool", "ReduceMean", "LayerNormalization", "RMSNormalization",
         "SimplifiedLayerNormalization", "LpNormalization", "LSTM", "GRU")
SIZE = (1, 3, 8, 8)


def conv(b: OnnxBuilder, x: str, outputs: int, inputs: int) -> str:
    bias = b.constant(b.rng.normal(0, 0.5, outputs).astype(np.float32))
    return b.node("Conv", [x, b.weights((outputs, inputs, 3, 3), axis=0), bias], pads=[1] * 4)


def sum_with_a_convolution(b: OnnxBuilder) -> str:
    """What TensorRT fuses: a convolution that is not quantised, plus what goes around it."""
    x = b.activation(SIZE)
    y = b.node("Add", [conv(b, x, 3, 3), x])
    return b.quantized(b.node("Relu", [y]), 0.1)


def sum_of_two_convolutions(b: OnnxBuilder) -> str:
    x = b.activation(SIZE)
    return b.quantized(b.node("Add", [conv(b, x, 4, 3), conv(b, x, 4, 3)]), 0.1)


def gate(b: OnnxBuilder) -> str:
    """x * sigmoid(x), nothing of it quantised."""
    y = conv(b, b.activation(SIZE), 4, 3)
    return b.quantized(b.node("Mul", [y, b.node("Sigmoid", [y])]), 0.1)


def function_of_a_convolution(b: OnnxBuilder) -> str:
    return b.quantized(b.node("HardSwish", [conv(b, b.activation(SIZE), 4, 3)]), 0.1)


def mean_of_a_convolution(b: OnnxBuilder) -> str:
    y = b.node("Relu", [conv(b, b.activation(SIZE), 4, 3)])
    y = b.quantized(b.node("Flatten", [b.node("GlobalAveragePool", [y])]), 0.05)
    return b.quantized(b.node("Gemm", [y, b.weights((4, 5))]), 0.1)


def softmax_of_a_matrix(b: OnnxBuilder) -> str:
    y = b.node("Gemm", [b.activation((1, 6)), b.weights((6, 4))])
    return b.node("Softmax", [y], axis=1)


def pool_before_the_quantization(b: OnnxBuilder) -> str:
    y = b.node("Clip", [conv(b, b.activation(SIZE), 4, 3), b.constant(np.float32(0)),
                        b.constant(np.float32(1.1))])
    y = b.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
    return b.quantized(b.node("Flatten", [y]), 0.02, np.array(3, b.dtype))


def input_that_is_moved(b: OnnxBuilder, kind: str) -> str:
    """A float input in another layout, flattened before it is quantised."""
    y = b.node("Transpose", [b.input((1, 3, 4, 5))], perm=[0, 2, 3, 1])
    y = (b.node("Flatten", [y]) if kind == "Flatten"
         else b.node("Reshape", [y, b.constant(np.array([1, 60]))]))
    return b.quantized(b.node("Gemm", [b.quantized(y), b.weights((60, 5))]), 0.5)


def flattened_input(b: OnnxBuilder) -> str:
    return input_that_is_moved(b, "Flatten")


def reshaped_input(b: OnnxBuilder) -> str:
    return input_that_is_moved(b, "Reshape")


def pool_read_twice(b: OnnxBuilder) -> str:
    y = b.node("MaxPool", [conv(b, b.activation(SIZE), 4, 3)], kernel_shape=[2, 2])
    zero = np.array(7, b.dtype)
    a, c = b.quantized(y, 0.05, zero), b.quantized(b.node("Transpose", [y]), 0.05, zero)
    return b.quantized(b.node("Add", [b.node("Transpose", [a]), c]), 0.1)


def last_step(b: OnnxBuilder, kind: str, gates: int) -> str:
    """Of a recurrent cell, as PyTorch's exporter picks it: Transpose, Reshape, Gather."""
    weights = [b.constant(b.rng.normal(0, 0.5, (1, gates * 8, n)).astype(np.float32))
               for n in (6, 8)]
    y = b.node(kind, [b.activation((5, 1, 6)), *weights], hidden_size=8)
    y = b.node("Transpose", [y], perm=[2, 0, 1, 3])
    y = b.node("Reshape", [y, b.constant(np.array([1, 5, 8]))])
    return b.node("Gather", [y, b.constant(np.array(-1))], axis=1)


def dense_behind_the_last_step(b: OnnxBuilder) -> str:
    y = b.quantized(last_step(b, "GRU", 3), 0.01)
    return b.quantized(b.node("Gemm", [y, b.weights((8, 4))]), 0.02)


def last_step_as_it_is(b: OnnxBuilder) -> str:
    """What reads it in two kinds of steps has it in float32."""
    y = last_step(b, "LSTM", 4)
    pair = [b.quantized(y, step, np.array(3, b.dtype)) for step in (0.01, 0.02)]
    return b.quantized(b.node("Add", pair), 0.02)


ON_HOST = {dense_behind_the_last_step: ["GRU", "STRIDED_SLICE"],
           last_step_as_it_is: ["LSTM", "STRIDED_SLICE"],
           sum_with_a_convolution: ["CONV_2D", "ADD"], gate: ["CONV_2D", "LOGISTIC", "MUL"],
           sum_of_two_convolutions: ["CONV_2D", "CONV_2D", "ADD"],
           function_of_a_convolution: ["CONV_2D", "HARD_SWISH"],
           mean_of_a_convolution: ["CONV_2D", "AVERAGE_POOL_2D"],
           softmax_of_a_matrix: ["FULLY_CONNECTED", "SOFTMAX"],
           pool_before_the_quantization: [], pool_read_twice: [],
           flattened_input: [], reshaped_input: []}


@pytest.mark.parametrize("kind", KINDS)
def test_results_in_float32_equal_onnx_runtime(kind: str) -> None:
    for seed in range(CASES):
        b = OnnxBuilder(seed, "uint8" if seed % 2 else "int8")
        model = b.model(DRAWS[kind](b))
        graph = import_onnx(model, "test.onnx")
        assert graph.tensors[graph.outputs[0]].dtype == "float32"
        Compared().add(model, b.samples(), seed)


def test_every_operator_with_such_a_result_is_compared() -> None:
    assert {kind.removesuffix(" of two") for kind in KINDS} - {"linear"} == TO_FLOAT


@pytest.mark.parametrize("draw", ON_HOST)
def test_what_is_quantised_further_on_equals_onnx_runtime(draw: Callable[[OnnxBuilder], str]
                                                          ) -> None:
    compared = Compared()
    for seed in range(CASES):
        b = OnnxBuilder(seed, "uint8" if seed % 2 else "int8")
        compared.add(b.model(draw(b)), b.samples(), seed)
    assert compared.near <= compared.elements // 200


@pytest.mark.parametrize("draw", ON_HOST)
def test_float32_is_for_the_host_and_the_program_is_exact(draw: Callable[[OnnxBuilder], str]
                                                          ) -> None:
    b = OnnxBuilder(1)
    graph = import_onnx(b.model(draw(b)), "test.onnx")
    program = kaniwa.compile(graph)
    assert [op.kind for op in program.host_ops if op.kind not in (
        "QUANTIZE", "DEQUANTIZE", "TRANSPOSE", "RESHAPE")] == ON_HOST[draw]
    with kaniwa.open("emulator") as device:
        session = kaniwa.Session(program, device)
        for _ in range(4):
            sample = b.samples()
            np.testing.assert_array_equal(next(iter(session.run(sample).values())),
                                          golden.run(graph, sample)[graph.outputs[0]])
