"""Rule ``qdq``: quantised ONNX models, float operators between DequantizeLinear and QuantizeLinear.

Run in float32 such an operator is no function of its integer operands: the order of the additions
decides ties and near ties. So the rule is what its exact value would give, in float64:

    y = clamp(round_half_even(real) + zero point),    real = exact accumulator * (sx * sw / sy)

Each function below gives ``real`` of an operator; ``finish`` does the rest. An operand may be
float32, where the model leaves a result in it. Layouts and attributes
are those of the same operators elsewhere (docs/graph.md), the clamp is the attribute ``bounds``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kaniwa.errors import UnsupportedError
from kaniwa.golden.registry import Call, kernel, quantization
from kaniwa.graph import Graph, Op

__all__ = ["RULE", "real_operand", "real_values", "output_step", "finish", "finish_integers",
           "register_real"]

RULE = "qdq"
Real = Callable[[Call], np.ndarray]
REALS: dict[str, Real] = {}


def real_values(graph: Graph, op: Op, operands: list[np.ndarray | None]) -> np.ndarray:
    """The exact result, in float64 and in steps of the output, before zero point and clamp."""
    if op.kind not in REALS:
        raise UnsupportedError(f"{graph.name}: op {op.source_index} {op.kind} '{op.name}': rule "
                               f"{RULE} is not defined for it")
    return REALS[op.kind](Call(graph, op, operands))


def finish(call: Call, real: np.ndarray) -> np.ndarray:
    """Round half to even, add the zero point, clamp; of the output's dtype."""
    if np.isnan(real).any():
        raise OverflowError("a result that is not a number has no quantised value")
    # Far beyond any dtype here, and exact as an integer of 64 bits.
    return finish_integers(call, np.rint(np.clip(real, -(2.0**40), 2.0**40)).astype(np.int64))


def finish_integers(call: Call, rounded: np.ndarray) -> np.ndarray:
    """``finish`` of what is rounded, int64."""
    low, high = call.attribute("bounds")
    zero_point = quantization(call.output).zero_point
    return np.clip(rounded + zero_point, low, high).astype(call.output.dtype)


def register_real(*kinds: str) -> Callable[[Real], Real]:
    """Register the decorated function as the rule's meaning of these operators."""

    def register(function: Real) -> Real:
        for kind in kinds:
            REALS[kind] = function
            kernel(kind, rule=RULE)(lambda call: finish(call, function(call)))
        return function

    return register


def _centered(call: Call, position: int) -> np.ndarray:
    """An operand less its zero point, or one in float32, exact in float64."""
    value = call.value(position).astype(np.float64)
    return value if call.tensor(position).dtype == "float32" else (
        value - call.quantization(position).zero_point)


def _step(call: Call, position: int) -> float:
    """The step of an operand; real numbers have 1."""
    return (1.0 if call.tensor(position).dtype == "float32" else call.quantization(position).scale)


def real_operand(call: Call, position: int) -> np.ndarray:
    """The real numbers that an operand stands for, in float64."""
    return _centered(call, position) * _step(call, position)


def output_step(call: Call) -> float:
    """The step of the output; real numbers have 1."""
    return 1.0 if call.output.dtype == "float32" else quantization(call.output).scale


def _weights(call: Call, channel_axis: int, position: int = 1) -> np.ndarray:
    """Weights less their zero points, exact in float64; one zero point, or one a channel."""
    value = call.value(position).astype(np.float64)
    if call.tensor(position).dtype == "float32":
        return value
    q = call.quantization(position)
    zero_points = np.array(q.zero_points, np.float64)
    shape = [1] * value.ndim
    shape[channel_axis] = len(zero_points)
    return np.asarray(value - zero_points.reshape(shape))


def _slopes(call: Call, x: int = 0, weights: int = 1) -> np.ndarray:
    """sx * sw / sy in float64, in this order: one, or one an output channel.

    The operands are at the positions ``x`` and ``weights``.
    """
    real = call.tensor(weights).dtype == "float32"
    scales = np.array((1.0,) if real else call.quantization(weights).scales, np.float64)
    return _step(call, x) * scales / output_step(call)


def _scaled(call: Call, acc: np.ndarray, x: int = 0, weights: int = 1) -> np.ndarray:
    """Accumulators [..., channels] in steps of the output; an int32 bias is in steps of sx * sw."""
    bias, slopes = call.optional(2), _slopes(call, x, weights)
    if bias is not None and bias.dtype == np.float32:
        return acc * slopes + bias.astype(np.float64) / output_step(call)
    return (acc if bias is None else acc + bias.astype(np.float64)) * slopes


def _windows(call: Call, x: np.ndarray, kernel_size: tuple[int, ...],
             dilation: tuple[int, int],
             padding: Sequence[tuple[int, int]] | None = None) -> np.ndarray:
    """View [N, OH, OW, C, KH, KW] of ``x``, padded with zeros."""
    padded = np.pad(x, ((0, 0), *(padding or call.attribute("padding")), (0, 0)))
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True))
    stride = call.attribute("stride")
    views = sliding_window_view(padded, extent, axis=(1, 2))[:, ::stride[0], ::stride[1]]
    return views[..., ::dilation[0], ::dilation[1]]


@register_real("CONV_2D")
def _convolution(call: Call) -> np.ndarray:
    weights = _weights(call, 0)     # [OC, KH, KW, IC of a group]
    windows = _windows(call, _centered(call, 0), weights.shape[1:3], call.attribute("dilation"))
    groups = windows.shape[3] // weights.shape[3]
    # Products are below 2^16 and their sums below 2^53 for up to 2^37 taps: exact in any order.
    parts = [
        np.tensordot(x, w, axes=((3, 4, 5), (3, 1, 2)))
        for x, w in zip(np.split(windows, groups, axis=3), np.split(weights, groups), strict=True)
    ]
    return _scaled(call, np.concatenate(parts, axis=3))


@register_real("DEPTHWISE_CONV_2D")
def _depthwise(call: Call) -> np.ndarray:
    weights = _weights(call, 3)     # [1, KH, KW, OC]
    x = _centered(call, 0)
    x = np.repeat(x, weights.shape[3] // x.shape[3], axis=3)
    windows = _windows(call, x, weights.shape[1:3], call.attribute("dilation"))
    return _scaled(call, np.einsum("nyxckl,klc->nyxc", windows, weights[0]))


@register_real("TRANSPOSE_CONV")
def _transposed_convolution(call: Call) -> np.ndarray:
    """Each input times the kernel, added up where it falls; operands are weights, x and bias."""
    x, weights = _centered(call, 1), _weights(call, 0, 0)     # [OC, KH, KW, IC of a group]
    channels, *kernel, depth = weights.shape
    (sy, sx), (dy, dx) = call.attribute("stride"), call.attribute("dilation")
    batch, height, width, total = x.shape
    groups = total // depth
    whole = np.zeros((batch, (height - 1) * sy + (kernel[0] - 1) * dy + 1,
                      (width - 1) * sx + (kernel[1] - 1) * dx + 1, channels))
    inputs = x.reshape(batch, height, width, groups, depth)
    parts = weights.reshape(groups, channels // groups, *kernel, depth)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            product = np.einsum("nyxgi,goi->nyxgo", inputs, parts[:, :, row, column])
            whole[:, row * dy:row * dy + (height - 1) * sy + 1:sy,
                  column * dx:column * dx + (width - 1) * sx + 1:sx] += product.reshape(
                      batch, height, width, channels)
    (top, bottom), (left, right) = call.attribute("padding")
    whole = np.pad(whole, ((0, 0), (0, max(-bottom, 0)), (0, max(-right, 0)), (0, 0)))
    rows, columns = call.output.shape[1:3]
    return _scaled(call, whole[:, top:top + rows, left:left + columns], 1, 0)


@register_real("FULLY_CONNECTED")
def _fully_connected(call: Call) -> np.ndarray:
    weights = _weights(call, 0)     # [OC, IC]
    return _scaled(call, _centered(call, 0).reshape(-1, weights.shape[1]) @ weights.T)


@register_real("BATCH_MATMUL")
def _batch_matmul(call: Call) -> np.ndarray:
    return np.matmul(_centered(call, 0), _centered(call, 1)) * _slopes(call)[0]


@register_real("AVERAGE_POOL_2D")
def _average_pool(call: Call) -> np.ndarray:
    """The mean, also over the padding where ``count_padding`` says so."""
    x, window = _centered(call, 0), call.attribute("filter")
    dilation = call.option("dilation", (1, 1))
    total = _windows(call, x, window, dilation).sum(axis=(4, 5))
    inside = np.ones((1, *x.shape[1:3], 1))
    # Of the padding with ceil_mode, what the last window lacks is never counted.
    counted = call.option("counted", ((0, 0), (0, 0)))
    padding = [(whole[0] - part[0], whole[1] - part[1]) for whole, part in zip(
        call.attribute("padding"), counted, strict=True)]
    inside = np.pad(inside, ((0, 0), *counted, (0, 0)), constant_values=1)
    count = _windows(call, inside, window, dilation, padding).sum(axis=(4, 5))
    if call.attribute("count_padding"):
        count = np.full_like(count, window[0] * window[1])
    # A window that sees padding alone has no mean; the sum of nothing is 0.
    count = np.maximum(count, 1)
    # Between equal steps the quotient itself: n times an inverse of n may be next to a tie.
    if _step(call, 0) == output_step(call):
        return total / count
    return total * (_step(call, 0) / (count * output_step(call)))


@register_real("LP_POOL_2D")
def _lp_pool(call: Call) -> np.ndarray:
    x, power = np.abs(real_operand(call, 0)), call.attribute("power")
    windows = _windows(call, x**power, call.attribute("filter"), call.attribute("dilation"))
    return windows.sum(axis=(4, 5)) ** (1 / power) / output_step(call)


@register_real("EINSUM")
def _einsum(call: Call) -> np.ndarray:
    operands = [real_operand(call, i) for i in range(len(call.op.inputs))]
    total = np.einsum(call.attribute("equation"), *operands, optimize=True)
    return np.asarray(total / output_step(call))


@register_real("MEAN")
def _mean(call: Call) -> np.ndarray:
    x, axes = _centered(call, 0), call.attribute("axes")
    count = int(np.prod([x.shape[a] for a in axes]))
    return x.sum(axis=axes) * (_step(call, 0) / (count * output_step(call)))


@register_real("SUM")
def _sum(call: Call) -> np.ndarray:
    return _centered(call, 0).sum(axis=call.attribute("axes")) * (
        _step(call, 0) / output_step(call))


@register_real("MAXIMUM", "MINIMUM")
def _extreme(call: Call) -> np.ndarray:
    a, b = real_operand(call, 0), real_operand(call, 1)
    return (np.maximum if call.op.kind == "MAXIMUM" else np.minimum)(a, b) / output_step(call)


@register_real("ADD", "SUB")
def _add(call: Call) -> np.ndarray:
    a, b = real_operand(call, 0), real_operand(call, 1)
    return (a + b if call.op.kind == "ADD" else a - b) / output_step(call)


@register_real("MUL")
def _mul(call: Call) -> np.ndarray:
    slope = _step(call, 0) * _step(call, 1) / output_step(call)
    return _centered(call, 0) * _centered(call, 1) * slope


@register_real("PRELU")
def _slopes_of_two(call: Call) -> np.ndarray:
    x, out = _centered(call, 0), output_step(call)
    if call.tensor(1).dtype == "float32":
        below = x * (_step(call, 0) * call.value(1).astype(np.float64) / out)
    else:
        below = x * _centered(call, 1) * (_step(call, 0) * _step(call, 1) / out)
    return np.where(x < 0, below, real_operand(call, 0) / out)


@register_real("PADV2")
def _padded(call: Call) -> np.ndarray:
    """With a number, which need not be one of the input's steps."""
    return np.pad(real_operand(call, 0), call.attribute("paddings"),
                  constant_values=real_operand(call, 1).reshape(-1)[0]) / output_step(call)


@register_real("DIV")
def _div(call: Call) -> np.ndarray:
    """Quotient; a number divided by 0 is beyond every limit, 0 / 0 is not a number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result = real_operand(call, 0) / real_operand(call, 1) / output_step(call)
    if np.isnan(result).any():
        raise OverflowError("DIV of 0 by 0 is not a number")
    return result


@register_real("QUANTIZE")
def _requantize(call: Call) -> np.ndarray:
    return _centered(call, 0) * (call.quantization(0).scale / quantization(call.output).scale)
