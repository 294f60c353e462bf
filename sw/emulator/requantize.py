"""The emulator's requantization: the affine form of docs/architecture.md in int64."""

from __future__ import annotations

import numpy as np

from kaniwa.emulator.memory import Fault
from kaniwa.isa import ErrorCode, Rounding

__all__ = ["check_int32", "requantize"]

INT32 = np.iinfo(np.int32)

Integers = np.ndarray | int


def requantize(v: np.ndarray, multiplier: Integers, shift: Integers, rounding: int,
               multiplier_bits: int) -> np.ndarray:
    """``(v * m + b) >> s``, where b follows from the rounding, s and the sign of v.

    ``v`` is int64 within 32 bits, m < 2^31, s < 64. int64 is enough: |v * m| <= 2^31 * (2^31 - 1)
    = 2^62 - 2^31 and 0 <= b <= 2^62 + 2^30, so the sum stays below 2^63.
    """
    s = np.asarray(shift, np.int64)
    half = np.where(s > 0, np.int64(1) << np.maximum(s - 1, 0), np.int64(0))
    if rounding == Rounding.DOUBLE:
        first = np.where(s > multiplier_bits, np.int64(1) << (multiplier_bits - 1), np.int64(0))
        offset = np.where(v >= 0, half + first, half - first)
    elif rounding == Rounding.AWAY:
        offset = np.where(v >= 0, half, np.maximum(half - 1, 0))
    else:
        offset = half
    total = v * np.asarray(multiplier, np.int64) + offset
    result = total >> s
    if rounding == Rounding.EVEN:
        tie = (s > 0) & (total & ~(np.int64(-1) << s) == 0)
        result = np.where(tie, result & ~np.int64(1), result)
    return result


def check_int32(v: np.ndarray, what: str) -> np.ndarray:
    """``v``, or a Fault: the core's 32-bit sum would wrap unnoticed."""
    low, high = int(v.min()), int(v.max())
    if low < INT32.min or high > INT32.max:
        worst = low if low < INT32.min else high
        raise Fault(ErrorCode.ILLEGAL_FIELD, f"{what} of {worst} wraps in 32 bits")
    return v
