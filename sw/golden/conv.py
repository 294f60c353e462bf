"""CONV_2D and DEPTHWISE_CONV_2D as LiteRT's int8 reference kernels define them.

Layouts: activations [N, H, W, C], convolution weights [OC, KH, KW, IC], depthwise weights
[1, KH, KW, OC] with output channel ``ic * depth_multiplier + m``; ``padding`` is
((top, bottom), (left, right)).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kaniwa.golden.registry import Call, Kernel, kernel, quantization, within_int32
from kaniwa.golden.rounding import multiply_by_quantized_multiplier, quantize_multipliers
from kaniwa.graph import Tensor

__all__ = [
    "Pair",
    "Padding",
    "conv_2d_accumulators",
    "depthwise_conv_2d_accumulators",
    "real_multipliers",
    "requantize",
]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def conv_2d_accumulators(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
    *,
    zero_point: int,
    stride: Pair,
    dilation: Pair,
    padding: Padding,
) -> np.ndarray:
    """The exact accumulators Σ w·(x - zero_point) + bias, int64 [N, OH, OW, OC].

    ``x`` is int8 [N, H, W, IC], ``weights`` int8 [OC, KH, KW, IC], ``bias`` int32 [OC] or None.
    """
    windows = _windows(x, zero_point, weights.shape[1:3], stride, dilation, padding)
    n, oh, ow = windows.shape[:3]
    # windows are [N, OH, OW, IC, KH, KW]; the weights follow that order. The product runs in
    # float64 BLAS and is exact: each term is at most 128·255 < 2^15, so any order of partial sums
    # stays below 2^53 for up to 2^38 terms, far beyond the size an importer accepts.
    patches = windows.reshape(n * oh * ow, -1)
    matrix = weights.transpose(3, 1, 2, 0).reshape(-1, weights.shape[0]).astype(np.float64)
    acc = (patches @ matrix).astype(np.int64).reshape(n, oh, ow, weights.shape[0])
    return acc if bias is None else acc + bias


def depthwise_conv_2d_accumulators(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
    *,
    zero_point: int,
    stride: Pair,
    dilation: Pair,
    padding: Padding,
) -> np.ndarray:
    """The exact depthwise accumulators, int64 [N, OH, OW, OC]; OC is a multiple of x's channels."""
    _, kh, kw, oc = weights.shape
    windows = _windows(x, zero_point, (kh, kw), stride, dilation, padding)
    taps = weights.reshape(kh, kw, x.shape[3], oc // x.shape[3]).astype(np.float64)
    # Exact for the reason given above.
    acc = np.zeros((*windows.shape[:3], *taps.shape[2:]), np.float64)
    for row in range(kh):
        for column in range(kw):
            acc += windows[..., row, column, np.newaxis] * taps[row, column]
    result = acc.astype(np.int64).reshape(*windows.shape[:3], oc)
    return result if bias is None else result + bias


def requantize(
    acc: np.ndarray, real_multipliers: np.ndarray, zero_point: int, bounds: tuple[int, int]
) -> np.ndarray:
    """Rule ``litert_double_rounding``: int32 accumulators [..., OC] to int8.

    ``real_multipliers`` are float64 [OC] or [1]: input scale · weight scale / output scale.
    """
    multiplier, shift = quantize_multipliers(real_multipliers)
    scaled = multiply_by_quantized_multiplier(acc, multiplier, shift) + zero_point
    return np.clip(scaled, *bounds).astype(np.int8)


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
    """Input scale · weight scale / output scale in float64, one a weight scale, in this order."""
    scales = np.array(quantization(weights).scales, np.float64)
    return quantization(x).scale * scales / quantization(output).scale


def _convolution(accumulate: Callable[..., np.ndarray]) -> Kernel:
    def run(call: Call) -> np.ndarray:
        acc = accumulate(
            call.value(0),
            call.value(1),
            call.optional(2),
            zero_point=call.quantization(0).zero_point,
            stride=call.attribute("stride"),
            dilation=call.attribute("dilation"),
            padding=call.attribute("padding"),
        )
        return requantize(
            within_int32(acc),
            real_multipliers(call.tensor(0), call.tensor(1), call.output),
            quantization(call.output).zero_point,
            call.bounds(call.attribute("activation")),
        )

    return run


kernel("CONV_2D")(_convolution(conv_2d_accumulators))
kernel("DEPTHWISE_CONV_2D")(_convolution(depthwise_conv_2d_accumulators))
