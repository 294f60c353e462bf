"""Convolutions in float32, one rounded product and one rounded sum after the other.

The order is that of the loops of LiteRT's ``reference/conv.h``, ``reference/depthwiseconv_float.h``
and ``reference/transpose_conv.h``. Layouts as in ``conv``; padding adds zeros, which change
nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kaniwa.golden.tflite.plain import clamped

__all__ = ["conv_2d", "depthwise_conv_2d", "transpose_conv"]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


def _windows(x: np.ndarray, kernel: tuple[int, ...], stride: Pair, dilation: Pair,
             padding: Padding) -> np.ndarray:
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    (kh, kw), (dh, dw) = kernel, dilation
    views = sliding_window_view(padded, ((kh - 1) * dh + 1, (kw - 1) * dw + 1), axis=(1, 2))
    return views[:, :: stride[0], :: stride[1], :, ::dh, ::dw]


def _finished(total: np.ndarray, bias: np.ndarray | None, activation: str) -> np.ndarray:
    return clamped(total + (np.float32(0) if bias is None else bias), activation)


def conv_2d(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None, *, stride: Pair,
            dilation: Pair, padding: Padding, activation: str) -> np.ndarray:
    """float32 CONV_2D, with groups."""
    oc, kh, kw, depth = weights.shape
    windows = _windows(x, (kh, kw), stride, dilation, padding)
    groups = windows.shape[3] // depth
    # The input channels that each output channel reads, for every position in its group.
    first = np.repeat(np.arange(groups) * depth, oc // groups)
    total = np.zeros((*windows.shape[:3], oc), np.float32)
    with np.errstate(all="ignore"):
        for row in range(kh):
            for column in range(kw):
                for channel in range(depth):
                    tap = windows[..., first + channel, row, column]
                    total = total + tap * weights[:, row, column, channel]
        return _finished(total, bias, activation)


def depthwise_conv_2d(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None, *,
                      stride: Pair, dilation: Pair, padding: Padding,
                      activation: str) -> np.ndarray:
    """float32 DEPTHWISE_CONV_2D."""
    _, kh, kw, oc = weights.shape
    windows = np.repeat(_windows(x, (kh, kw), stride, dilation, padding), oc // x.shape[3], axis=3)
    total = np.zeros((*windows.shape[:3], oc), np.float32)
    with np.errstate(all="ignore"):
        for row in range(kh):
            for column in range(kw):
                total = total + windows[..., row, column] * weights[0, row, column]
        return _finished(total, bias, activation)


def transpose_conv(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None, *, stride: Pair,
                   padding: Padding, size: Pair, activation: str) -> np.ndarray:
    """float32 TRANSPOSE_CONV: the input's pixels and channels in order, each added to the sum."""
    n, h, w, depth = x.shape
    oc, kh, kw, _ = weights.shape
    (top, _), (left, _) = padding
    canvas = np.zeros((n, max((h - 1) * stride[0] + kh, top + size[0]),
                       max((w - 1) * stride[1] + kw, left + size[1]), oc), np.float32)
    kernel = weights.transpose(3, 1, 2, 0)
    with np.errstate(all="ignore"):
        for row in range(h):
            for column in range(w):
                at = row * stride[0], column * stride[1]
                for channel in range(depth):
                    canvas[:, at[0] : at[0] + kh, at[1] : at[1] + kw] += (
                        x[:, row, column, channel, None, None, None] * kernel[channel])
        total = canvas[:, top : top + size[0], left : left + size[1]]
        return _finished(total, bias, activation) if bias is not None else clamped(
            total, activation)
