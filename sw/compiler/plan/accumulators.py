"""Accumulators that can occur, and the proof that none of them leaves int32."""

from __future__ import annotations

import numpy as np

from kaniwa.compiler.plan.rescale import Int64
from kaniwa.errors import CompileError

__all__ = ["INT32_MAX", "accumulator_range", "extent"]

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def accumulator_range(weights: Int64, bias: Int64, where: str) -> tuple[Int64, Int64]:
    """The smallest and largest accumulator of each channel, proved to stay within int32.

    Any int8 input can occur; padding is an int8 value too. Partial sums are without bias.
    """
    low, high = extent(weights, bias)
    magnitudes = (high - low) // 255      # of a channel's weights, summed up
    reach = np.maximum.reduce([np.abs(low), np.abs(high), np.abs(bias),
                               128 * magnitudes])
    wrong = np.flatnonzero((np.minimum(low, bias) < INT32_MIN)
                           | (np.maximum(high, bias) > INT32_MAX)
                           | (128 * magnitudes > INT32_MAX))
    if wrong.size:
        raise CompileError(f"{where}: channel {wrong[0]}: the accumulator may reach "
                           f"{int(reach[wrong[0]])} in magnitude, beyond int32; reduce its bias or "
                           f"weights")
    return low, high


def extent(weights: Int64, bias: Int64) -> tuple[Int64, Int64]:
    """The smallest and largest accumulator of each channel, for any int8 input."""
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    return (bias - 128 * positive + 127 * negative, bias + 127 * positive - 128 * negative)
