"""Random quantised ONNX models of one operator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from builders.files.onnx_models import OnnxBuilder
from builders.files.onnx_more_operators import MORE_DRAWS
from builders.files.onnx_partly_float import (
    dynamic_convolution,
    dynamic_matrix,
    dynamic_steps_of_an_input,
)

__all__ = ["DRAWS"]


def conv(b: OnnxBuilder) -> str:
    rank = int(b.rng.integers(1, 3))
    groups = int(b.rng.choice([1, 1, 1, 2]))
    channels, depth = groups * int(b.rng.integers(1, 5)), int(b.rng.integers(2, 6))
    if b.rng.random() < 0.3:      # depthwise
        groups, depth = int(b.rng.integers(2, 6)), 1
        channels = groups * int(b.rng.integers(1, 3))
    kernel = tuple(int(k) for k in b.rng.integers(1, 5, rank))
    size = tuple(int(n) for n in b.rng.integers(8, 14, rank))
    scale = b.scale()
    x = b.activation((int(b.rng.integers(1, 3)), groups * depth, *size), scale)
    unsigned = b.rng.random() < 0.3
    w = b.weights((channels, depth, *kernel), "uint8" if unsigned else "int8",
                  0 if b.rng.random() < 0.5 else None, bool(unsigned and b.rng.random() < 0.5))
    operands = [x, w] + ([b.bias(channels, scale)] if b.rng.random() < 0.7 else [])
    if len(operands) == 2 and b.rng.random() < 0.7:
        operands.append(b.constant(b.rng.normal(0, 0.5, channels).astype(np.float32)))
    options: dict[str, object] = {
        "group": groups, "strides": [int(s) for s in b.rng.integers(1, 3, rank)],
        "dilations": [int(d) for d in b.rng.integers(1, 3, rank)]}
    if b.rng.random() < 0.3:
        options["auto_pad"] = str(b.rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        options["dilations"] = [1] * rank      # ONNX Runtime takes no others with it
    else:
        options["pads"] = [int(p) for p in b.rng.integers(0, 3, 2 * rank)]
    y = b.node("Conv", operands, **options)
    return b.node("Relu", [y]) if b.rng.random() < 0.4 else y


def gemm(b: OnnxBuilder) -> str:
    outputs, depth, scale = int(b.rng.integers(1, 9)), int(b.rng.integers(1, 40)), b.scale()
    x = b.activation((int(b.rng.integers(1, 4)), depth), scale)
    by_row = bool(b.rng.random() < 0.5)
    w = b.weights((outputs, depth) if by_row else (depth, outputs), "int8",
                  (0 if by_row else 1) if b.rng.random() < 0.5 else None)
    bias = b.bias(outputs, scale)
    if b.rng.random() < 0.5:
        return b.node("Gemm", [x, w, bias], transB=int(by_row))
    return b.node("Gemm", [x, w, bias], transB=int(by_row), alpha=float(b.rng.uniform(-1, 2)),
                  beta=float(b.rng.uniform(-1, 2)))


def matmul(b: OnnxBuilder) -> str:
    depth = int(b.rng.integers(1, 20))
    x = b.activation((*(int(n) for n in b.rng.integers(1, 4, int(b.rng.integers(1, 4)))), depth))
    return b.node("MatMul", [x, b.weights((depth, int(b.rng.integers(1, 9))))])


def matmul_of_two(b: OnnxBuilder) -> str:
    rows, depth, columns = (int(n) for n in b.rng.integers(1, 9, 3))
    a = b.activation((2, 3, rows, depth))
    batch = ((3,), (2, 1), (2, 3))[b.rng.integers(0, 3)]
    return b.node("MatMul", [a, b.activation((*batch, depth, columns))])


def matmul_of_constant(b: OnnxBuilder) -> str:
    """Constants that are no matrix, or the first operand."""
    rows, depth, columns = (int(n) for n in b.rng.integers(1, 9, 3))
    if b.rng.random() < 0.5:
        batch = ((3,), (2, 1), (2, 3))[b.rng.integers(0, 3)]
        return b.node("MatMul", [b.activation((2, 3, rows, depth)),
                                 b.weights((*batch, depth, columns))])
    shape = ((rows, depth), (3, rows, depth))[b.rng.integers(0, 2)]
    return b.node("MatMul", [b.weights(shape), b.activation((2, 3, depth, columns))])


def flattened(b: OnnxBuilder) -> str:
    """A map behind a convolution as a matrix: the columns of its weights are in another order."""
    pooled = b.quantized(b.node("Conv", [b.activation((1, 2, 5, 4)), b.weights((3, 2, 2, 2))]))
    flat = b.node("Flatten", [pooled])
    return b.node("Gemm", [flat, b.weights((36, 5))])


def linear(b: OnnxBuilder) -> str:
    """MatMul with a float bias behind it, as exporters write a linear layer."""
    product = b.node("MatMul", [b.activation((2, 3, 7)), b.weights((7, 5))])
    return b.node("Add", [product, b.bias(5, 1.0)])


def binary(kind: str) -> Callable[[OnnxBuilder], str]:
    def draw(b: OnnxBuilder) -> str:
        shape = tuple(int(n) for n in b.rng.integers(1, 5, 4))
        other = shape
        if b.rng.random() < 0.5:
            other = tuple(1 if b.rng.random() < 0.3 else n for n in shape)[int(b.rng.integers(3)):]
        first = b.activation(shape)
        second = b.weights(other) if b.rng.random() < 0.4 else b.activation(other)
        if b.rng.random() < 0.2:
            second = number(b)
        operands = [first, second] if b.rng.random() < 0.7 else [second, first]
        y = b.node(kind, operands)
        return b.node("Clip", [y, "", b.constant(np.float32(6))]) if b.rng.random() < 0.3 else y

    return draw


def number(b: OnnxBuilder) -> str:
    """One that is not quantised, not 0."""
    return b.constant(np.float32(b.rng.choice([-1, 1]) * b.rng.uniform(0.3, 3)))


def quotient(b: OnnxBuilder) -> str:
    """By a number, or by what is never 0."""
    x = b.activation((2, 3, 5))
    if b.rng.random() < 0.5:
        return b.node("Div", [x, number(b)])
    return b.node("Div", [x, at_least(b, b.activation((3, 1)), 0.3)])


def at_least(b: OnnxBuilder, x: str, low: float) -> str:
    """``x``, no less than ``low``, of integers whose smallest one is 0."""
    parameters = [b.constant(np.float32(b.scale())),
                  b.constant(np.array(np.iinfo(b.dtype).min, b.dtype))]
    return b.node("DequantizeLinear", [b.node("QuantizeLinear", [
        b.node("Clip", [x, b.constant(np.float32(low))]), *parameters]), *parameters])


def power(b: OnnxBuilder) -> str:
    """Whole powers of all numbers, others of what is not below 0."""
    x, exponent = b.activation((2, 3, 40)), float(b.rng.choice([2, 3, 1, 0.5, -0.5, -1]))
    x = x if exponent >= 1 else at_least(b, x, 0.1)
    return b.node("Pow", [x, b.constant(np.float32(exponent))])


def root(b: OnnxBuilder) -> str:
    """1 over a root that is not quantised."""
    return b.node("Reciprocal", [b.node("Sqrt", [at_least(b, b.activation((2, 3, 40)), 0.1)])])


def scaled(b: OnnxBuilder) -> str:
    """A function of what a number divides or multiplies, which is not quantised."""
    kind = str(b.rng.choice(["Div", "Mul"]))
    operands = [b.activation((2, 3, 4, 10)), b.constant(np.float32(b.rng.uniform(0.3, 3)))]
    if kind == "Mul" and b.rng.random() < 0.5:
        operands = operands[::-1]
    return b.node(str(b.rng.choice(["Erf", "Sigmoid"])), [b.node(kind, operands)])


def pool(kind: str) -> Callable[[OnnxBuilder], str]:
    def draw(b: OnnxBuilder) -> str:
        rank = int(b.rng.integers(1, 3))
        size = [int(n) for n in b.rng.integers(6, 9, rank)]
        x = b.activation((1, int(b.rng.integers(1, 5)), *size))
        if kind.startswith("Global"):
            return b.node(kind, [x])
        kernel = [int(k) for k in b.rng.integers(2, 5, rank)]
        options: dict[str, object] = {
            "kernel_shape": kernel, "strides": [int(s) for s in b.rng.integers(1, 4, rank)],
            "pads": [int(b.rng.integers(0, k)) for k in (*kernel, *kernel)]}
        if kind == "AveragePool":
            options["count_include_pad"] = int(b.rng.integers(0, 2))
        if b.rng.random() < 0.3:
            options["ceil_mode"] = 1
        elif b.rng.random() < 0.3:
            b.opset = 19
            options.update(dilations=[2] * rank, kernel_shape=[2] * rank)
            options["pads"] = [int(b.rng.integers(0, 2)) for _ in range(2 * rank)]
        return b.node(kind, [x], **options)

    return draw


def requantize(b: OnnxBuilder) -> str:
    x = b.activation((3, 40))
    kind = int(b.rng.integers(0, 3))
    return x if kind == 0 else b.node("Relu", [x]) if kind == 1 else b.node(
        "Clip", [x, b.constant(np.float32(-1)), b.constant(np.float32(2.5))])


def concat(b: OnnxBuilder) -> str:
    scale = None if b.rng.random() < 0.5 else 0.05
    parts = [b.activation((1, int(n), 3, 4), scale) for n in b.rng.integers(1, 5, 3)]
    if b.rng.random() < 0.5:
        parts = [b.quantized(b.node("MaxPool", [p], kernel_shape=[2, 2])) for p in parts]
        parts.append(b.constant(b.rng.normal(0, 2, (1, 2, 2, 3)).astype(np.float32)))
    return b.node("Concat", parts, axis=int(b.rng.choice([1, -3])))


def moved(b: OnnxBuilder) -> str:
    x = b.node("MaxPool", [b.activation((2, 3, 4, 6))], kernel_shape=[1, 1])
    x = b.node("Transpose", [x], perm=[int(p) for p in b.rng.permutation(4)])
    x = b.node("Reshape", [x, b.constant(np.array([2, -1, 9]))])
    x = b.node("Unsqueeze", [x, b.constant(np.array([1]))])
    return b.node("Squeeze", [b.node("Identity", [x]), b.constant(np.array([-3]))])


def slices(b: OnnxBuilder) -> str:
    """Slice, Split, Gather, Pad and Resize, before or behind what works on channel-last maps."""
    x = b.activation((1, 4, 6, 8))
    if b.rng.random() < 0.5:
        x = b.node("MaxPool", [x], kernel_shape=[1, 1])
    first, step = int(b.rng.integers(-3, 3)), int(b.rng.choice([1, 2, -1]))
    ends = [2**31, -1] if step > 0 else [-(2**31), -1]
    x = b.node("Slice", [x, b.constant(np.array([first, 1])), b.constant(np.array(ends)),
                         b.constant(np.array([2, -1])), b.constant(np.array([step, 1]))])
    parts = b.nodes_of("Split", [x, b.constant(np.array([1, 3]))], 2, axis=1)
    if b.rng.random() < 0.5:
        one = b.constant(np.array(int(b.rng.integers(-3, 3))))
        y = b.node("Gather", [parts[1], one], axis=1)
        y = b.node("Gather", [y, b.constant(np.array([[5, 1], [-8, -2]][one[-1] == "1"]))], axis=2)
        return b.node("Gather", [y, b.constant(np.array([[0, 1], [0, -1], [0, 0]]))], axis=-1)
    y = b.node("Pad", [parts[1], b.constant(np.array([0, 0, 1, 2, 0, 1, 0, 3]))])
    modes = (("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"))[int(b.rng.integers(2))]
    return b.node("Resize", [y, "", b.constant(np.float32([1, 1, 2, 4]))], mode="nearest",
                  coordinate_transformation_mode=modes[0], nearest_mode=modes[1])


def function(kind: str) -> Callable[[OnnxBuilder], str]:
    def draw(b: OnnxBuilder) -> str:
        options: dict[str, object] = {}
        if kind in ("Elu", "LeakyRelu", "HardSigmoid", "Selu", "Celu", "ThresholdedRelu"):
            options["alpha"] = float(b.rng.uniform(0.01, 0.9))
        if kind == "HardSigmoid":
            options["beta"] = float(b.rng.uniform(0, 1))
        if kind == "Mish":
            b.opset = 18
        if kind in ("Softmax", "LogSoftmax"):
            options["axis"] = int(b.rng.integers(-3, 3))
        if kind == "Gelu":
            b.opset = 20
            options["approximate"] = str(b.rng.choice(["none", "tanh"]))
        x = b.activation((2, 3, 40))
        if kind in ("Log", "Sqrt"):      # not below 0
            x = at_least(b, x, 0.1)
        return b.node(kind, [x], **options)

    return draw


def prelu(b: OnnxBuilder) -> str:
    return b.node("PRelu", [b.activation((2, 3, 40)), b.constant(np.float32([[0.25]]))])


def mean(b: OnnxBuilder) -> str:
    axes = ([2, 3], [-1], [1, 2], [0, 1, 2, 3])[int(b.rng.integers(0, 4))]
    return b.node("ReduceMean", [b.activation((2, 3, 4, 5))], axes=axes,
                  keepdims=int(b.rng.integers(0, 2)))


def layer_normalization(b: OnnxBuilder) -> str:
    width, scale = int(b.rng.integers(2, 40)), b.scale()
    operands = [b.activation((2, 3, width), scale)]
    if b.rng.random() < 0.5:
        operands += [b.weights((width,)), b.bias(width, scale)]
    else:
        operands += [b.constant(b.rng.normal(0, 1, width).astype(np.float32)) for _ in range(2)]
    return b.node("LayerNormalization", operands[:int(b.rng.integers(2, 4))],
                  axis=int(b.rng.choice([-1, 2])), epsilon=float(b.rng.choice([1e-5, 1e-2])))


def recurrent(kind: str, results: int, gates: int) -> Callable[[OnnxBuilder], str]:
    """LSTM and GRU with every kind of constants; one of the results is in use."""

    def draw(b: OnnxBuilder) -> str:
        steps, batch, features, size = (int(n) for n in b.rng.integers(1, 7, 4))
        direction = str(b.rng.choice(["forward", "reverse", "bidirectional"]))
        count = 2 if direction == "bidirectional" else 1

        def constant(*shape: int) -> str:
            if b.rng.random() < 0.5:
                return b.weights(shape, axis=0 if b.rng.random() < 0.5 else None)
            return b.constant(b.rng.normal(0, 0.5, shape).astype(np.float32))

        operands = [b.activation((steps, batch, features)), constant(count, gates * size, features),
                    constant(count, gates * size, size)]
        operands.append(constant(count, 2 * gates * size) if b.rng.random() < 0.7 else "")
        operands.append(b.constant(np.full(batch, steps, np.int32)) if b.rng.random() < 0.3 else "")
        operands += [constant(count, batch, size) if b.rng.random() < 0.5 else ""
                     for _ in range(results - 1)]
        options: dict[str, object] = {}
        if kind == "GRU":
            options["linear_before_reset"] = int(b.rng.integers(0, 2))
        if kind == "RNN" and b.rng.random() < 0.5:
            options["activations"] = [str(b.rng.choice(["Relu", "Tanh", "Sigmoid"]))] * count
        outputs = b.nodes_of(kind, operands, results, hidden_size=size, direction=direction,
                             **options)
        wanted = int(b.rng.integers(results))
        for i in range(results):
            if i != wanted and b.rng.random() < 0.5:
                b.nodes[-1].output[i] = ""
        return outputs[wanted]

    return draw


DRAWS: dict[str, Callable[[OnnxBuilder], str]] = {
    "Conv": conv, "Gemm": gemm, "MatMul": matmul, "MatMul of two": matmul_of_two,
    "MatMul of a constant": matmul_of_constant,
    "Flatten": flattened, "linear": linear, "Add": binary("Add"), "Sub": binary("Sub"),
    "Mul": binary("Mul"), "Div": quotient, "Pow": power, "root": root, "scaled": scaled,
    "AveragePool": pool("AveragePool"), "MaxPool": pool("MaxPool"),
    "GlobalAveragePool": pool("GlobalAveragePool"), "GlobalMaxPool": pool("GlobalMaxPool"),
    "requantize": requantize, "Concat": concat, "movement": moved,
    "slices": slices, "PRelu": prelu, "ReduceMean": mean,
    "LayerNormalization": layer_normalization,
    "LSTM": recurrent("LSTM", 3, 4), "GRU": recurrent("GRU", 2, 3), "RNN": recurrent("RNN", 2, 1),
    "DynamicQuantizeLinear": dynamic_steps_of_an_input, "MatMulInteger": dynamic_matrix,
    "ConvInteger": dynamic_convolution,
    **MORE_DRAWS,
    **{kind: function(kind) for kind in (
        "Sigmoid", "Tanh", "Elu", "LeakyRelu", "HardSigmoid", "HardSwish", "Exp", "Log", "Sqrt",
        "Gelu", "Erf", "Softplus", "Abs", "Neg", "Reciprocal", "Softmax", "LogSoftmax", "Selu",
        "Celu", "ThresholdedRelu", "Mish", "Softsign", "Sin", "Cos", "Floor", "Ceil", "Round",
        "Sign")},
}
