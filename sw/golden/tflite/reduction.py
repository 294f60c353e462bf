"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN, ARG_MAX and ARG_MIN as LiteRT's reference kernels have them.

Sources: ``reduce.cc``, ``reference/reduce.h`` and ``reference/arg_min_max.h`` of its kernels.
"""

from __future__ import annotations

import math

import numpy as np

from kaniwa.golden.numbers.rounding import quantize_multiplier
from kaniwa.golden.registry import Call, kernel, quantization, rescale_by_pair, within_int32
from kaniwa.golden.tflite.plain import exact_integer

__all__ = ["mean_multiplier"]


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """Multiplier and shift of a mean over ``count`` values, whose division they take in."""
    multiplier, shift = quantize_multiplier(real)
    more = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << more) // count, shift - more


def _rows(call: Call) -> np.ndarray:
    """Elements to reduce, in the order of the reference's loop, along the first of two axes."""
    x, axes = call.value(0), call.attribute("axes")
    count = math.prod(x.shape[i] for i in axes)
    return np.moveaxis(x, axes, range(len(axes))).reshape(count, -1)


def _in_sequence(rows: np.ndarray) -> np.ndarray:
    """The float32 sum from 0 on, one row after the other, every step rounded."""
    total = np.zeros(rows.shape[1], np.float32)
    with np.errstate(all="ignore"):
        for row in rows:
            total = total + row
    return total


@kernel("MEAN")
def _mean(call: Call) -> np.ndarray:
    rows = _rows(call)
    count = len(rows)
    if rows.dtype == np.float32:
        return _in_sequence(rows) / np.float32(count)
    total = rows.sum(axis=0, dtype=np.int64)
    if rows.dtype in (np.int32, np.int64):
        floor = total // count
        return (floor + ((total % count != 0) & (floor < 0))).astype(rows.dtype)
    real = call.quantization(0).scale / quantization(call.output).scale
    return _rescaled(call, total, *mean_multiplier(real, count), count)


@kernel("SUM")
def _sum(call: Call) -> np.ndarray:
    rows = _rows(call)
    if rows.dtype == np.float32:
        return _in_sequence(rows)
    if rows.dtype in (np.int32, np.int64):
        total = np.zeros(rows.shape[1], rows.dtype)
        for row in rows:
            total = exact_integer(np.add, total, row)
        return total
    real = call.quantization(0).scale / quantization(call.output).scale
    # LiteRT 2.3 runs its uint8 kernel over the bytes of int8 tensors too, and so clamps to 0..255.
    total = rows.view(np.uint8).sum(axis=0, dtype=np.int64)
    out = _scaled(call, total, *quantize_multiplier(real), len(rows))
    return np.clip(out, 0, 255).astype(np.uint8).view(rows.dtype)


def _rescaled(call: Call, total: np.ndarray, multiplier: int, shift: int,
              count: int) -> np.ndarray:
    out = _scaled(call, total, multiplier, shift, count)
    return np.clip(out, *call.bounds("NONE")).astype(call.output.dtype)


def _scaled(call: Call, total: np.ndarray, multiplier: int, shift: int, count: int) -> np.ndarray:
    centered = within_int32(total - count * call.quantization(0).zero_point)
    scaled = rescale_by_pair(centered, multiplier, shift)
    return within_int32(scaled + quantization(call.output).zero_point)


@kernel("REDUCE_MAX", "REDUCE_MIN")
def _extreme(call: Call) -> np.ndarray:
    rows, largest = _rows(call), call.op.kind == "REDUCE_MAX"
    if rows.dtype != np.float32:
        return rows.max(axis=0) if largest else rows.min(axis=0)
    # The reference starts with the last finite number, never takes a NaN, and of two zeros keeps
    # the first one, whatever its sign.
    limits = np.finfo(np.float32)
    best = np.full(rows.shape[1], limits.min if largest else limits.max, np.float32)
    for row in rows:
        best = np.where(row > best if largest else row < best, row, best)
    return best


@kernel("ARG_MAX", "ARG_MIN")
def _arg(call: Call) -> np.ndarray:
    x, largest = call.value(0), call.op.kind == "ARG_MAX"
    axis = call.attribute("axis")
    if x.dtype == np.float32:
        # No comparison with a NaN is true: one at the start stays, others are never taken.
        worst = np.float32(-np.inf if largest else np.inf)
        first_is_nan = np.isnan(np.take(x, 0, axis=axis))
        x = np.where(np.isnan(x), worst, x)
        found = x.argmax(axis=axis) if largest else x.argmin(axis=axis)
        found = np.where(first_is_nan, 0, found)
    else:
        found = x.argmax(axis=axis) if largest else x.argmin(axis=axis)
    return found.astype(call.output.dtype)
