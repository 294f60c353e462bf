"""What kaniwa supports of each operator: named limits, each with the sentence that users read.

Each limit takes the operator and returns None, or what is not supported (an
``UnsupportedError``); its docstring is the sentence that ``kaniwa operators`` prints.
"""

from __future__ import annotations

import math

import numpy as np

from kaniwa.golden.elementwise import add_multipliers, mul_multiplier
from kaniwa.golden.rounding import quantize_multiplier
from kaniwa.golden.softmax import input_multiplier
from kaniwa.importers.operands import Operands, quantization_of, shape_of
from kaniwa.importers.shapes import extent

__all__ = [
    "int8_activations",
    "constant_int8_weights",
    "symmetric_weights",
    "constant_int32_bias",
    "no_groups",
    "window_in_range",
    "known_activation",
    "activation_in_range",
    "default_weights_format",
    "add_multiplier_in_range",
    "mul_multiplier_in_range",
    "same_quantization",
    "constant_shape",
    "same_dtype",
    "softmax_output",
    "softmax_size",
    "softmax_beta",
]

ELEMENTWISE = ("ADD", "SUB", "MUL")  # their second operand is an activation too


def int8_activations(op: Operands) -> str | None:
    """Activations are int8 with one scale and a zero point in -128..127."""
    activations = [op.x, op.output] + ([op.weights] if op.kind in ELEMENTWISE else [])
    for tensor in activations:
        if tensor.dtype != "int8":
            return f"activation '{tensor.name}' is {tensor.dtype}, must be int8"
        if tensor.quantization is None or len(tensor.quantization.scales) != 1:
            return f"activation '{tensor.name}' needs one scale and zero point"
        if not -128 <= tensor.quantization.zero_point <= 127:
            return (
                f"activation '{tensor.name}' needs a zero point in -128..127, not "
                f"{tensor.quantization.zero_point}"
            )
    return None


def constant_int8_weights(op: Operands) -> str | None:
    """Weights are constant int8."""
    if op.weights.data is None:
        return f"weights '{op.weights.name}' are computed, must be constant"
    return None if op.weights.dtype == "int8" else f"weights are {op.weights.dtype}, must be int8"


def symmetric_weights(op: Operands) -> str | None:
    """Weights have zero_point 0 and one scale, or one an output channel."""
    q, axis = op.weights.quantization, 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
    if q is None:
        return f"weights '{op.weights.name}' have no scale"
    form = "per-channel" if len(q.scales) > 1 else "per-tensor"
    wrong = [z for z in q.zero_points if z != 0]
    if wrong:
        return f"{form} weights need zero_point 0, not {wrong[0]}"
    return (
        None
        if len(q.scales) == 1 or q.axis == axis
        else (f"per-channel weights need quantized_dimension {axis}, not {q.axis}")
    )


def constant_int32_bias(op: Operands) -> str | None:
    """The bias, if any, is constant int32 with zero point 0."""
    if op.bias is None:
        return None
    if op.bias.data is None:
        return f"bias '{op.bias.name}' is computed, must be constant"
    if op.bias.dtype != "int32":
        return f"bias '{op.bias.name}' is {op.bias.dtype}, must be int32"
    q = op.bias.quantization
    wrong = [] if q is None else [z for z in q.zero_points if z != 0]
    return f"bias '{op.bias.name}' needs zero_point 0, not {wrong[0]}" if wrong else None


def no_groups(op: Operands) -> str | None:
    """Convolutions have one group: the weights' input channels are the input's."""
    groups = op.x.shape[3] // op.weights.shape[3]
    return None if groups == 1 else f"has {groups} groups, must have 1"


def window_in_range(op: Operands) -> str | None:
    """Strides, and the span of the dilated kernel, are at most 4096 in each direction."""
    kernel = op.pair("filter") if "filter" in op.attributes else op.weights.shape[1:3]
    dilation = op.pair("dilation") if "dilation" in op.attributes else (1, 1)
    worst = max(*op.pair("stride"), *(extent(k, d) for k, d in zip(kernel, dilation, strict=True)))
    return None if worst <= 4096 else f"stride or span of {worst} is too large"


def known_activation(op: Operands) -> str | None:
    """The fused activation is NONE, RELU, RELU6 or RELU_N1_TO_1."""
    name = op.attributes["activation"]
    return (
        None
        if name in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
        else (f"fused activation {name} is not supported")
    )


def activation_in_range(op: Operands) -> str | None:
    """The fused activation's bounds over the output's scale fit an integer."""
    bound = {"RELU6": 6.0, "RELU_N1_TO_1": 1.0}.get(str(op.attributes.get("activation", op.kind)))
    scale = quantization_of(op.output).scale
    # LiteRT refuses quotients beyond int32; half of that keeps the zero point's addition inside.
    return (
        None
        if bound is None or bound / scale < 2.0**30
        else (f"output scale {scale:g} is too small for the activation's bound {bound:g}")
    )


def default_weights_format(op: Operands) -> str | None:
    """Fully connected weights are in the default format (not shuffled)."""
    return None if op.attributes["weights_format"] == 0 else "weights are shuffled, must be plain"


def add_multiplier_in_range(op: Operands) -> str | None:
    """The output scale is at least 2^-19 of the larger input scale."""
    scales = [quantization_of(t).scale for t in (op.x, op.weights, op.output)]
    real = add_multipliers(*scales)[2]
    # LiteRT itself aborts otherwise; a multiplier that rounds up to 1 has shift 1.
    if real < 1.0 and quantize_multiplier(real)[1] <= 0:
        return None
    a, b, out = (f"{scale:g}" for scale in scales)
    return f"output scale {out} is too small for input scales {a} and {b}"


def mul_multiplier_in_range(op: Operands) -> str | None:
    """The product of the input scales is below 2^15 of the output scale."""
    scales = [quantization_of(t).scale for t in (op.x, op.weights, op.output)]
    # A product is below 2^16; with a left shift of 16 it may leave int32, which C++ leaves open.
    if quantize_multiplier(mul_multiplier(*scales))[1] <= 15:
        return None
    a, b, out = (f"{scale:g}" for scale in scales)
    return f"output scale {out} is too small for input scales {a} and {b}"


def same_quantization(op: Operands) -> str | None:
    """Input and output have the same scale and zero point."""
    x, out = quantization_of(op.x), quantization_of(op.output)
    same = abs(x.scale - out.scale) <= 1e-6 and x.zero_point == out.zero_point
    return (
        None
        if same
        else (
            f"output scale {out.scale:g} and zero point {out.zero_point} differ "
            f"from the input's {x.scale:g} and {x.zero_point}"
        )
    )


def constant_shape(op: Operands) -> str | None:
    """The new shape is constant int32, with the input's number of elements."""
    shape = op.attributes["shape"]
    if shape is None:
        return "the new shape is computed, must be a constant int32 vector"
    if (
        not isinstance(shape, tuple)
        or math.prod(shape) != math.prod(op.x.shape)
        or min(shape, default=1) < 1
    ):
        return f"new shape {shape} does not hold the elements of {shape_of(op.x)}"
    return (
        None
        if op.output.shape == shape
        else f"output {shape_of(op.output)} should be {list(shape)}"
    )


def same_dtype(op: Operands) -> str | None:
    """Input and output have the same dtype, int8."""
    wrong = next((t for t in (op.x, op.output) if t.dtype != "int8"), None)
    return None if wrong is None else f"'{wrong.name}' is {wrong.dtype}, must be int8"


def softmax_output(op: Operands) -> str | None:
    """The output of SOFTMAX has scale 1/256 and zero point -128."""
    q = quantization_of(op.output)
    good = q.zero_point == -128 and abs(q.scale - 1 / 256) <= 0.001 / 256
    return (
        None
        if good
        else (f"output scale {q.scale:g} and zero point {q.zero_point} must be 1/256 and -128")
    )


def softmax_size(op: Operands) -> str | None:
    """SOFTMAX runs over 1 to 511 values."""
    size = op.x.shape[-1] if op.x.shape else 0
    return None if 1 <= size <= 511 else f"runs over {size} values, must be 1 to 511"


def softmax_beta(op: Operands) -> str | None:
    """SOFTMAX has a beta > 0 with beta · input scale > 2^-26."""
    beta = float(str(op.attributes["beta"]))
    real = input_multiplier(beta, quantization_of(op.x).scale)
    good = np.isfinite(beta) and beta > 0 and real > 1.0
    return (
        None
        if good
        else f"beta {beta:g} is too small for input scale {quantization_of(op.x).scale:g}"
    )
