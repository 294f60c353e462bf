"""Functions of one quantised operand as tables, filled and looked up as LiteRT does it.

Sources: ``LUTPopulate`` and ``LUTLookup`` of ``kernels/internal/common.h``. Bytes (int8, uint8)
have an entry for each value; int16 has 513 entries, interpolated over 128 values each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kaniwa.golden.numbers.rounding import INT32_MAX, INT32_MIN, round_half_away

__all__ = ["Function", "byte_table", "look_up_bytes", "int16_table", "look_up_int16"]

Function = Callable[[np.ndarray], np.ndarray]
STEPS = 512


def byte_table(
    function: Function, *, dtype: str, scales: tuple[float, float], zero_points: tuple[int, int]
) -> np.ndarray:
    """The 256 results of ``function`` (float32 to float32) for int8 or uint8, the smallest first.

    ``scales`` and ``zero_points`` are (input, output); all steps are in float32. Raises
    ``OverflowError`` where a result is no number or leaves int32, which C++ leaves undefined.
    """
    limits = np.iinfo(dtype)
    values = np.arange(limits.min, limits.max + 1) - zero_points[0]
    with np.errstate(over="ignore", invalid="ignore"):
        real = function(np.float32(scales[0]) * values.astype(np.float32))
        steps = real.astype(np.float32) * (np.float32(1) / np.float32(scales[1]))
    if not (np.abs(steps) <= 2.0**30).all():
        worst = values[np.flatnonzero(~(np.abs(steps) <= 2.0**30))[0]] + zero_points[0]
        raise OverflowError(f"the result for input {worst} does not fit an integer")
    rounded = round_half_away(steps.astype(np.float64)).astype(np.float32)
    shifted = (rounded + np.float32(zero_points[1])).astype(np.int64)
    return np.clip(shifted, limits.min, limits.max).astype(dtype)


def look_up_bytes(table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The entries of ``byte_table``'s result for an array of its dtype."""
    return table[x.astype(np.int64) - np.iinfo(x.dtype).min]


def int16_table(
    function: Function,
    *,
    scales: tuple[float, float],
    zero_points: tuple[int, int],
    real: type[np.floating] = np.float32,
) -> np.ndarray:
    """The 513 entries for int16, each lowered by half of the error in the middle of its step.

    ``function`` maps arrays of dtype ``real``, in which all steps are done. Raises
    ``OverflowError`` where an entry is no number.
    """
    ends = np.array([-32768, 32767])
    first, last = (real(scales[0]) * (ends - zero_points[0]).astype(real)).tolist()
    low, high = real(scales[1]) * (ends - zero_points[1]).astype(real)
    step = (real(last) - real(first)) / real(STEPS)
    at = real(first) + np.arange(STEPS + 1).astype(real) * step
    with np.errstate(over="ignore", invalid="ignore"):
        per_unit = real(65536) / (high - low)
        samples = function(at) * per_unit
        middles = _round(function(at[:-1] + step / real(2)) * per_unit)
        between = _round((samples[1:] + _round(samples[:-1])) / real(2))
        entries = _round(samples[:-1]) - _round((between - middles) / real(2))
        entries = np.append(entries, _round(function(np.array([last], real)) * per_unit))
    if np.isnan(entries).any():
        raise OverflowError("the function has no value at some inputs")
    return np.clip(entries, -32768, 32767).astype(np.int16)


def look_up_int16(table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """int16 results for int16 ``x``, interpolated between the entries of ``int16_table``."""
    wide = x.astype(np.int64)
    index = 256 + (wide >> 7)
    base = table.astype(np.int64)[index]
    # LiteRT keeps the slope in 16 bits.
    slope = (table.astype(np.int64)[index + 1] - base).astype(np.int16).astype(np.int64)
    return (base + ((slope * (wide & 127) + 64) >> 7)).astype(np.int16)


def _round(x: np.ndarray) -> np.ndarray:
    """C's ``round``, ties away from zero, in the array's own dtype and over its whole range."""
    inside = np.clip(x, INT32_MIN, INT32_MAX)
    rounded = round_half_away(np.nan_to_num(inside).astype(np.float64)).astype(x.dtype)
    return np.where(inside == x, rounded, x)
