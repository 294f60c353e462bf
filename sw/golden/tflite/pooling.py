"""AVERAGE_POOL_2D and MAX_POOL_2D as LiteRT's reference kernels define them.

Sources: ``pooling.cc``, ``reference/pooling.h`` and ``reference/integer_ops/pooling.h``.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kaniwa.golden.registry import Call, kernel
from kaniwa.golden.tflite.convolution import Padding, Pair
from kaniwa.golden.tflite.plain import clamped

__all__ = ["average_pool_2d", "max_pool_2d"]


def average_pool_2d(
    x: np.ndarray, *, window: Pair, stride: Pair, padding: Padding, bounds: tuple[int, int]
) -> np.ndarray:
    """Rule ``litert_average_pool``: the mean of the elements inside the input, ties away from 0.

    Integers [N, H, W, C] to [N, OH, OW, C]; padding counts neither in sum nor in number.
    """
    total = _windows(x.astype(np.int64), 0, window, stride, padding).sum(axis=(4, 5))
    count = _inside(x, window, stride, padding)
    # C++ truncates: half of the count is added with the sign of the sum.
    magnitude = (np.abs(total) + count // 2) // count
    return np.clip(np.sign(total) * magnitude, *bounds).astype(x.dtype)


def max_pool_2d(
    x: np.ndarray, *, window: Pair, stride: Pair, padding: Padding, bounds: tuple[int, int],
    dilation: Pair = (1, 1)
) -> np.ndarray:
    """The largest element of each window inside the input; integers [N, H, W, C]."""
    least = int(np.iinfo(x.dtype).min)
    windows = _windows(x, least, window, stride, padding, dilation)
    return np.clip(windows.max(axis=(4, 5)), *bounds)


def _average_float(x: np.ndarray, window: Pair, stride: Pair, padding: Padding) -> np.ndarray:
    """float32: sums row by row, every step rounded; zeros of the padding change nothing."""
    windows = _windows(x, 0, window, stride, padding)
    total = np.zeros(windows.shape[:4], np.float32)
    with np.errstate(all="ignore"):
        for row in range(window[0]):
            for column in range(window[1]):
                total = total + windows[..., row, column]
        return total / _inside(x, window, stride, padding).astype(np.float32)


def _max_float(x: np.ndarray, window: Pair, stride: Pair, padding: Padding,
               dilation: Pair) -> np.ndarray:
    """float32: from the smallest finite number on; a NaN is never larger."""
    least = float(np.finfo(np.float32).min)
    windows = _windows(x, least, window, stride, padding, dilation)
    largest = np.full(windows.shape[:4], least, np.float32)
    for row in range(window[0]):
        for column in range(window[1]):
            # Of two zeros the first one stays, whatever its sign.
            tap = windows[..., row, column]
            largest = np.where(largest < tap, tap, largest)
    return largest


def _inside(x: np.ndarray, window: Pair, stride: Pair, padding: Padding) -> np.ndarray:
    """The number of elements of each window that are inside the input, [1, OH, OW, 1]."""
    ones = np.ones((1, *x.shape[1:3], 1), np.int64)
    return np.asarray(_windows(ones, 0, window, stride, padding).sum(axis=(4, 5)))


def _windows(
    x: np.ndarray, fill: float, window: Pair, stride: Pair, padding: Padding,
    dilation: Pair = (1, 1)
) -> np.ndarray:
    padded = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)
    extent = tuple((size - 1) * apart + 1 for size, apart in zip(window, dilation, strict=True))
    views = sliding_window_view(padded, extent, axis=(1, 2))[:, :: stride[0], :: stride[1]]
    return views[..., :: dilation[0], :: dilation[1]]


@kernel("AVERAGE_POOL_2D", "MAX_POOL_2D")
def _pool(call: Call) -> np.ndarray:
    x, average = call.value(0), call.op.kind == "AVERAGE_POOL_2D"
    window, stride, padding = (call.attribute(n) for n in ("filter", "stride", "padding"))
    activation = call.attribute("activation")
    dilation = call.option("dilation", (1, 1))      # of ONNX's MaxPool
    if x.dtype == np.float32:
        result = (_average_float(x, window, stride, padding) if average
                  else _max_float(x, window, stride, padding, dilation))
        return clamped(result, activation)
    bounds = call.bounds(activation)
    if average:
        return average_pool_2d(x, window=window, stride=stride, padding=padding, bounds=bounds)
    return max_pool_2d(x, window=window, stride=stride, padding=padding, bounds=bounds,
                       dilation=dilation)
