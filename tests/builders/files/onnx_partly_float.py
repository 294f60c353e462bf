"""Models as quantisers leave them: parts in float32, before, between and behind quantised ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from builders.files.onnx_models import OnnxBuilder

__all__ = ["PREAMBLES", "PARTLY_FLOAT", "dynamic_convolution", "dynamic_matrix",
           "dynamic_steps_of_an_input"]

SIZE = (1, 3, 8, 8)


def conv(b: OnnxBuilder, x: str, outputs: int, inputs: int) -> str:
    """A quantised convolution with a quantised result."""
    return b.quantized(b.node("Conv", [x, b.weights((outputs, inputs, 3, 3), axis=0)],
                              pads=[1] * 4), 0.5)


def numbers(b: OnnxBuilder, *shape: int) -> str:
    return b.constant(b.rng.normal(0, 0.4, shape).astype(np.float32))


def float_conv(b: OnnxBuilder, x: str, outputs: int, inputs: int) -> str:
    return b.node("Conv", [x, numbers(b, outputs, inputs, 3, 3), numbers(b, outputs)],
                  pads=[1] * 4)


def relu_first(b: OnnxBuilder) -> str:
    return conv(b, b.quantized(b.node("Relu", [b.input(SIZE)])), 4, 3)


def clip_first(b: OnnxBuilder) -> str:
    edges = [b.constant(np.float32(n)) for n in (-1, 2)]
    return conv(b, b.quantized(b.node("Clip", [b.input(SIZE), *edges])), 4, 3)


def max_pool_first(b: OnnxBuilder) -> str:
    return conv(b, b.quantized(b.node("MaxPool", [b.input(SIZE)], kernel_shape=[2, 2])), 4, 3)


def average_pool_first(b: OnnxBuilder) -> str:
    return conv(b, b.quantized(b.node("AveragePool", [b.input(SIZE)], kernel_shape=[2, 2])), 4, 3)


def pad_first(b: OnnxBuilder) -> str:
    pads = b.constant(np.array([0, 0, 1, 1, 0, 0, 1, 2]))
    return conv(b, b.quantized(b.node("Pad", [b.input(SIZE), pads])), 4, 3)


def normalized_first(b: OnnxBuilder) -> str:
    """(x - mean) / std, by channel."""
    x = b.node("Sub", [b.input(SIZE), numbers(b, 1, 3, 1, 1)])
    deviations = b.constant(b.rng.uniform(0.5, 2, (1, 3, 1, 1)).astype(np.float32))
    return conv(b, b.quantized(b.node("Div", [x, deviations])), 4, 3)


def float_convolution_first(b: OnnxBuilder) -> str:
    y = b.node("Relu", [float_conv(b, b.input(SIZE), 5, 3)])
    return conv(b, b.quantized(y), 4, 5)


def float_convolution_between(b: OnnxBuilder) -> str:
    return conv(b, b.quantized(float_conv(b, b.activation(SIZE), 5, 3)), 4, 5)


def float_convolution_last(b: OnnxBuilder) -> str:
    y = float_conv(b, conv(b, b.activation(SIZE), 4, 3), 2, 4)
    return b.node("MaxPool", [y], kernel_shape=[2, 2])


def float_matrix(b: OnnxBuilder) -> str:
    y = b.node("Gemm", [b.activation((2, 6)), numbers(b, 6, 4), numbers(b, 4)])
    return b.node("Softmax", [y])


def float_product_of_two(b: OnnxBuilder) -> str:
    return b.node("MatMul", [b.node("Sigmoid", [b.activation((2, 3, 4))]),
                             b.node("Sigmoid", [b.activation((2, 4, 5))])])


def float_parts_joined(b: OnnxBuilder) -> str:
    x = b.input(SIZE)
    y = b.node("Concat", [x, b.node("Tanh", [x]), numbers(b, 1, 2, 8, 8)], axis=1)
    return conv(b, b.quantized(y), 4, 8)


def joined_with_a_float_convolution(b: OnnxBuilder) -> str:
    x = b.activation(SIZE)
    return b.node("Concat", [float_conv(b, x, 2, 3), x], axis=1)


def dynamic_matrix(b: OnnxBuilder) -> str:
    """As ``quantize_dynamic`` writes a linear layer."""
    x, scale, zero = b.nodes_of("DynamicQuantizeLinear", [b.node("Relu", [b.input((2, 6))])], 3)
    w = b.rng.integers(-128, 128, (6, 4)).astype(np.int8)
    y = b.node("MatMulInteger", [x, b.constant(w), zero, b.constant(np.int8(3))])
    steps = b.node("Mul", [scale, b.constant(np.float32(0.02))])
    return b.node("Add", [b.node("Mul", [b.node("Cast", [y], to=1), steps]), numbers(b, 4)])


def dynamic_convolution(b: OnnxBuilder) -> str:
    x, scale, zero = b.nodes_of("DynamicQuantizeLinear", [b.input(SIZE)], 3)
    w = b.rng.integers(0, 256, (5, 3, 3, 3)).astype(np.uint8)
    y = b.node("ConvInteger", [x, b.constant(w), zero, b.constant(np.uint8(120))], pads=[1] * 4)
    steps = b.node("Mul", [scale, b.constant(np.float32(0.001))])
    return b.node("Mul", [b.node("Cast", [y], to=1), steps])


def dynamic_steps_of_an_input(b: OnnxBuilder) -> str:
    parts = b.nodes_of("DynamicQuantizeLinear", [b.input(SIZE)], 3)
    return conv(b, b.quantized(b.node("DequantizeLinear", parts)), 4, 3)


PARTLY_FLOAT: tuple[Callable[[OnnxBuilder], str], ...] = (
    relu_first, clip_first, max_pool_first, average_pool_first, pad_first, normalized_first,
    float_convolution_first, float_convolution_between, float_convolution_last, float_matrix,
    float_product_of_two, float_parts_joined, joined_with_a_float_convolution, dynamic_matrix,
    dynamic_convolution, dynamic_steps_of_an_input)


def divided(b: OnnxBuilder) -> str:
    x = b.node("Cast", [b.input(SIZE, "uint8")], to=1)
    return conv(b, b.quantized(b.node("Div", [x, b.constant(np.float32(255))]), 0.004), 4, 3)


def centered(b: OnnxBuilder) -> str:
    """Channels last, and cut out, before it is divided and centered."""
    x = b.node("Transpose", [b.input((1, 8, 8, 3), "uint8")], perm=[0, 3, 1, 2])
    x = b.node("Slice", [x, *(b.constant(np.array([n])) for n in (1, 7, 2))])
    x = b.node("Mul", [b.node("Cast", [x], to=1), b.constant(np.float32(1 / 255))])
    x = b.node("Div", [b.node("Sub", [x, numbers(b, 3, 1, 1)]), b.constant(np.float32(0.3))])
    return conv(b, b.quantized(x, 0.02), 4, 3)


def of_integers(b: OnnxBuilder) -> str:
    """Integers of 32 bits."""
    x = b.node("Cast", [b.input((1, 3, 8, 8), "int32")], to=1)
    return conv(b, b.quantized(b.node("Mul", [x, b.constant(np.float32(0.01))]), 0.01), 4, 3)


def product_of_integers(b: OnnxBuilder) -> str:
    w = b.rng.integers(-128, 128, (6, 4)).astype(np.int8)
    y = b.node("MatMulInteger", [b.input((2, 6), "uint8"), b.constant(w),
                                 b.constant(np.uint8(100))])
    y = b.node("Mul", [b.node("Cast", [y], to=1), b.constant(np.float32(0.001))])
    return b.quantized(y, 0.5)


PREAMBLES: tuple[Callable[[OnnxBuilder], str], ...] = (
    divided, centered, of_integers, product_of_integers)
