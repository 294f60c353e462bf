"""Square roots and their inverses as LiteRT's ``elementwise.cc`` computes them."""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.fixedpoint import inverse_square_root
from kaniwa.golden.numbers.rounding import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from kaniwa.golden.numbers.tables import int16_table, look_up_int16

__all__ = [
    "sqrt",
    "sqrt_float",
    "rsqrt_multiplier",
    "rsqrt_int8",
    "rsqrt_int16",
    "rsqrt_table_int16",
    "rsqrt_float",
]

FRACTION_BITS = 20  # of 1 / √x before it is rescaled


def sqrt(
    x: np.ndarray, *, scales: tuple[float, float], zero_points: tuple[int, int]
) -> np.ndarray:
    """√x of int8 or int16, by float32 and truncated. Raises ``OverflowError`` for x < 0."""
    limits = np.iinfo(x.dtype)
    value = _not_negative(x, zero_points[0])
    steps = np.sqrt(np.float32(scales[0]) * value.astype(np.float32)) / np.float32(scales[1])
    steps = np.minimum(steps, np.float32(1 << 20)).astype(np.int64) + zero_points[1]
    return np.clip(steps, limits.min, limits.max).astype(x.dtype)


def sqrt_float(x: np.ndarray) -> np.ndarray:
    """float32 √x."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def _not_negative(x: np.ndarray, zero_point: int) -> np.ndarray:
    """``x`` less its zero point in int64, or ``OverflowError``: the reference stops there."""
    value = x.astype(np.int64) - zero_point
    if (value < 0).any():
        raise OverflowError("an input is negative: its root is not defined")
    return value


def rsqrt_multiplier(scales: tuple[float, float]) -> float:
    """1 / (√s_in · s_out); root and product are float32."""
    return 1.0 / float(np.sqrt(np.float32(scales[0])) * np.float32(scales[1]))


def rsqrt_int8(
    x: np.ndarray, *, scales: tuple[float, float], zero_points: tuple[int, int]
) -> np.ndarray:
    """1 / √x; 0 gives the largest output. Raises ``OverflowError`` for a negative input."""
    value = _not_negative(x, zero_points[0])
    multiplier, shift = inverse_square_root(value)
    root = multiply_by_quantized_multiplier(np.ones_like(value), multiplier, shift + FRACTION_BITS)
    multiplier_out, shift_out = quantize_multiplier(rsqrt_multiplier(scales))
    result = multiply_by_quantized_multiplier(root, multiplier_out, shift_out - FRACTION_BITS)
    clipped = np.clip(result + zero_points[1], -128, 127)
    return np.where(value == 0, 127, clipped).astype(np.int8)


def rsqrt_int16(
    x: np.ndarray, *, scales: tuple[float, float], zero_points: tuple[int, int]
) -> np.ndarray:
    """1 / √x by an interpolated table. Raises ``OverflowError`` for a negative input."""
    _not_negative(x, zero_points[0])
    return look_up_int16(rsqrt_table_int16(scales=scales, zero_points=zero_points), x)


def rsqrt_table_int16(
    *, scales: tuple[float, float], zero_points: tuple[int, int]
) -> np.ndarray:
    """The table of ``rsqrt_int16``, whose entries up to 0 are the largest output."""
    largest = np.float32(32767) * np.float32(scales[1])

    def function(real: np.ndarray) -> np.ndarray:
        inside = real > 0
        root = np.float32(1) / np.sqrt(np.where(inside, real, np.float32(1)))
        return np.where(inside, root, largest)

    return int16_table(function, scales=scales, zero_points=zero_points)


def rsqrt_float(x: np.ndarray) -> np.ndarray:
    """float32 1 / √x, rounded after each step."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.float32(1) / np.sqrt(x)
