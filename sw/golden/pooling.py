"""AVERAGE_POOL_2D and MAX_POOL_2D as LiteRT's int8 reference kernels define them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kaniwa.golden.conv import Padding, Pair
from kaniwa.golden.registry import Call, Kernel, kernel

__all__ = ["average_pool_2d", "max_pool_2d"]


def average_pool_2d(
    x: np.ndarray, *, window: Pair, stride: Pair, padding: Padding, bounds: tuple[int, int]
) -> np.ndarray:
    """Rule ``litert_average_pool``: the mean of the elements inside the input, ties away from 0.

    int8 [N, H, W, C] to int8 [N, OH, OW, C]; padding counts neither in sum nor in number.
    """
    total = _windows(x.astype(np.int64), 0, window, stride, padding).sum(axis=(4, 5))
    inside = np.ones((1, *x.shape[1:3], 1), np.int64)
    count = _windows(inside, 0, window, stride, padding).sum(axis=(4, 5))
    # C++ truncates: half of the count is added with the sign of the sum.
    magnitude = (np.abs(total) + count // 2) // count
    return np.clip(np.sign(total) * magnitude, *bounds).astype(np.int8)


def max_pool_2d(
    x: np.ndarray, *, window: Pair, stride: Pair, padding: Padding, bounds: tuple[int, int]
) -> np.ndarray:
    """The largest element of each window inside the input; int8 [N, H, W, C] to [N, OH, OW, C]."""
    return np.clip(_windows(x, -128, window, stride, padding).max(axis=(4, 5)), *bounds)


def _windows(x: np.ndarray, fill: int, window: Pair, stride: Pair, padding: Padding) -> np.ndarray:
    padded = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)
    return sliding_window_view(padded, window, axis=(1, 2))[:, :: stride[0], :: stride[1]]


def _pool(pool: Callable[..., np.ndarray]) -> Kernel:
    def run(call: Call) -> np.ndarray:
        return pool(
            call.value(0),
            window=call.attribute("filter"),
            stride=call.attribute("stride"),
            padding=call.attribute("padding"),
            bounds=call.bounds(call.attribute("activation")),
        )

    return run


kernel("AVERAGE_POOL_2D")(_pool(average_pool_2d))
kernel("MAX_POOL_2D")(_pool(max_pool_2d))
