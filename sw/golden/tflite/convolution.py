"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV as LiteRT's reference kernels define them.

Layouts: activations [N, H, W, C], convolution weights [OC, KH, KW, IC], depthwise weights
[1, KH, KW, OC] with output channel ``ic * depth_multiplier + m``; ``padding`` is
((top, bottom), (left, right)). With groups the weights' IC is the input's divided by their number.
Sources: ``conv.cc``, ``depthwise_conv.cc``, ``transpose_conv.cc`` and their files under
``internal/reference``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kaniwa.golden.numbers.rounding import (
    multiply_by_quantized_multiplier,
    multiply_wide_by_quantized_multiplier,
    quantize_multipliers,
)
from kaniwa.golden.registry import Call, Kernel, kernel, quantization, within_int32
from kaniwa.golden.tflite import convolution_float
from kaniwa.graph import Tensor

__all__ = [
    "Pair",
    "Padding",
    "conv_2d_accumulators",
    "depthwise_conv_2d_accumulators",
    "transpose_conv_accumulators",
    "real_multipliers",
    "requantize",
    "requantized",
]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def conv_2d_accumulators(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
    *,
    zero_points: Pair,
    stride: Pair,
    dilation: Pair,
    padding: Padding,
) -> np.ndarray:
    """The exact accumulators Σ (w - w_zero)·(x - zero) + bias, int64 [N, OH, OW, OC].

    ``zero_points`` are those of ``x`` and of ``weights``. ``x`` is of 8 or 16 bits [N, H, W, C],
    ``weights`` of 8 bits [OC, KH, KW, IC], ``bias`` [OC] or None.
    """
    windows = _windows(x, zero_points[0], weights.shape[1:3], stride, dilation, padding)
    n, oh, ow, channels = windows.shape[:4]
    groups = channels // weights.shape[3]
    # windows are [N, OH, OW, C, KH, KW]; the weights follow that order. The product runs in
    # float64 BLAS and is exact: each term is below 2^24, so any order of partial sums stays below
    # 2^53 for up to 2^29 terms, far beyond the size an importer accepts.
    matrix = weights.astype(np.float64) - zero_points[1]
    parts = []
    for view, some in zip(np.split(windows, groups, axis=3), np.split(matrix, groups), strict=True):
        patches = view.reshape(n * oh * ow, -1)
        parts.append(patches @ some.transpose(3, 1, 2, 0).reshape(-1, some.shape[0]))
    acc = np.concatenate(parts, axis=1).astype(np.int64).reshape(n, oh, ow, weights.shape[0])
    return acc if bias is None else acc + bias


def depthwise_conv_2d_accumulators(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
    *,
    zero_points: Pair,
    stride: Pair,
    dilation: Pair,
    padding: Padding,
) -> np.ndarray:
    """The exact depthwise accumulators, int64 [N, OH, OW, OC]; OC is a multiple of x's channels."""
    _, kh, kw, oc = weights.shape
    windows = _windows(x, zero_points[0], (kh, kw), stride, dilation, padding)
    taps = weights.reshape(kh, kw, x.shape[3], oc // x.shape[3]).astype(np.float64)
    taps -= zero_points[1]
    # Exact for the reason given above.
    acc = np.zeros((*windows.shape[:3], *taps.shape[2:]), np.float64)
    for row in range(kh):
        for column in range(kw):
            acc += windows[..., row, column, np.newaxis] * taps[row, column]
    result = acc.astype(np.int64).reshape(*windows.shape[:3], oc)
    return result if bias is None else result + bias


def transpose_conv_accumulators(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
    *,
    zero_points: Pair,
    stride: Pair,
    padding: Padding,
    size: Pair,
) -> np.ndarray:
    """The exact accumulators of a transposed convolution, int64 [N, *size, OC].

    Every input pixel adds its products with the kernel [OC, KH, KW, IC] to the output; ``padding``
    is what the output loses at its edges.
    """
    n, h, w, _ = x.shape
    oc, kh, kw, _ = weights.shape
    (top, _), (left, _) = padding
    rows = max((h - 1) * stride[0] + kh, top + size[0])
    columns = max((w - 1) * stride[1] + kw, left + size[1])
    centered = x.astype(np.float64) - zero_points[0]
    kernel = weights.astype(np.float64) - zero_points[1]
    canvas = np.zeros((n, rows, columns, oc), np.float64)
    for row in range(kh):
        for column in range(kw):
            canvas[:, row : row + (h - 1) * stride[0] + 1 : stride[0],
                   column : column + (w - 1) * stride[1] + 1 : stride[1]
                   ] += centered @ kernel[:, row, column].T
    acc = canvas[:, top : top + size[0], left : left + size[1]].astype(np.int64)
    return acc if bias is None else acc + bias


def requantize(
    acc: np.ndarray, real_multipliers: np.ndarray, zero_point: int, bounds: tuple[int, int],
    dtype: str = "int8",
) -> np.ndarray:
    """Rule ``litert_double_rounding``: int32 accumulators [..., OC] to 8 bits.

    ``real_multipliers`` are float64 [OC] or [1]: input scale · weight scale / output scale.
    """
    multiplier, shift = quantize_multipliers(real_multipliers)
    scaled = multiply_by_quantized_multiplier(acc, multiplier, shift) + zero_point
    return np.clip(scaled, *bounds).astype(dtype)


def _windows(
    x: np.ndarray,
    zero_point: int,
    kernel: tuple[int, ...],
    stride: Pair,
    dilation: Pair,
    padding: Padding,
) -> np.ndarray:
    """Float64 view [N, OH, OW, C, KH, KW] of ``x - zero_point``, padded with zeros."""
    centered = np.pad(x.astype(np.float64) - zero_point, ((0, 0), *padding, (0, 0)))
    (kh, kw), (dh, dw) = kernel, dilation
    views = sliding_window_view(centered, ((kh - 1) * dh + 1, (kw - 1) * dw + 1), axis=(1, 2))
    return views[:, :: stride[0], :: stride[1], :, ::dh, ::dw]


def real_multipliers(x: Tensor, weights: Tensor, output: Tensor) -> np.ndarray:
    """Input scale · weight scale / output scale in float64, one a weight scale, in this order.

    uint8 is legacy: there LiteRT multiplies the first two in float32.
    """
    scales = np.array(quantization(weights).scales, np.float64)
    product = quantization(x).scale * scales
    if x.dtype == "uint8":
        with np.errstate(over="ignore", under="ignore"):
            product = (np.float32(quantization(x).scale) * scales.astype(np.float32)).astype(
                np.float64)
    return product / quantization(output).scale


def requantized(call: Call, acc: np.ndarray, x: Tensor, weights: Tensor) -> np.ndarray:
    """Accumulators to the output's dtype, with its fused activation.

    Rule ``litert_double_rounding``, for int16 ``litert_int16``: 48-bit accumulators and a
    multiplier of 15 bits.
    """
    real = real_multipliers(x, weights, call.output)
    zero_point = quantization(call.output).zero_point
    bounds = call.bounds(call.attribute("activation"))
    if x.dtype == "int16":
        multiplier, shift = quantize_multipliers(real)
        scaled = multiply_wide_by_quantized_multiplier(acc, multiplier, shift)
        return np.clip(scaled, *bounds).astype(np.int16)
    return requantize(within_int32(acc), real, zero_point, bounds, call.output.dtype)


def _convolution(accumulate: Callable[..., np.ndarray],
                 in_float: Callable[..., np.ndarray]) -> Kernel:
    def run(call: Call) -> np.ndarray:
        window = {name: call.attribute(name) for name in ("stride", "dilation", "padding")}
        x, weights, bias = call.value(0), call.value(1), call.optional(2)
        if x.dtype == np.float32:
            return in_float(x, weights, bias, activation=call.attribute("activation"), **window)
        acc = accumulate(x, weights, bias, **window, zero_points=(
            call.quantization(0).zero_point, call.quantization(1).zero_point))
        return requantized(call, acc, call.tensor(0), call.tensor(1))

    return run


kernel("CONV_2D")(_convolution(conv_2d_accumulators, convolution_float.conv_2d))
kernel("DEPTHWISE_CONV_2D")(
    _convolution(depthwise_conv_2d_accumulators, convolution_float.depthwise_conv_2d))


@kernel("TRANSPOSE_CONV")
def _transpose_conv(call: Call) -> np.ndarray:
    """Its operands are weights, input and bias."""
    weights, x, bias = call.value(0), call.value(1), call.optional(2)
    how = {"stride": call.attribute("stride"), "padding": call.attribute("padding"),
           "size": call.output.shape[1:3]}
    if x.dtype == np.float32:
        return convolution_float.transpose_conv(
            x, weights, bias, activation=call.attribute("activation"), **how)
    acc = transpose_conv_accumulators(
        x, weights, bias, **how,
        zero_points=(call.quantization(1).zero_point, call.quantization(0).zero_point))
    return requantized(call, acc, call.tensor(1), call.tensor(0))
