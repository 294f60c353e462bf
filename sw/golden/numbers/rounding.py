"""The roundings of LiteRT's reference kernels, each defined once, over int64 arrays.

Source of the formulas: ``QuantizeMultiplier`` and ``MultiplyByQuantizedMultiplier`` of LiteRT's
``kernels/internal``, and gemmlowp's ``fixedpoint.h``. Where the C++ leaves the result undefined
(a left shift or a conversion that leaves int32) these functions saturate.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "INT32_MIN",
    "INT32_MAX",
    "quantize_multiplier",
    "quantize_multipliers",
    "saturating_left_shift",
    "saturating_rounding_doubling_high_mul",
    "rounding_divide_by_pot",
    "multiply_by_quantized_multiplier",
    "multiply_wide_by_quantized_multiplier",
    "round_half_away",
    "activation_range",
]

INT32_MIN = -(1 << 31)
INT32_MAX = (1 << 31) - 1


def quantize_multiplier(real: float) -> tuple[int, int]:
    """``real`` ≥ 0 as ``(multiplier, shift)``: real ≈ multiplier · 2^(shift - 31).

    The multiplier lies in [2^30, 2^31), or is 0 where ``real`` is 0 or below 2^-32, as in LiteRT.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    # The fraction has 53 bits and is positive, so adding a half and flooring is exact here.
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def quantize_multipliers(reals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``quantize_multiplier`` of a float64 vector: two int64 vectors."""
    pairs = [quantize_multiplier(float(real)) for real in reals]
    return (np.array([m for m, _ in pairs], np.int64), np.array([s for _, s in pairs], np.int64))


def saturating_left_shift(x: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """``x · 2^shift`` clamped to int32; ``x`` int64 within int32, ``shift`` ≥ 0, any size."""
    # 2^31 times anything but zero saturates already, and 2^31 · 2^31 fits int64.
    return np.clip(np.asarray(x, np.int64) << np.minimum(shift, 31), INT32_MIN, INT32_MAX)


def saturating_rounding_doubling_high_mul(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """gemmlowp's ``SaturatingRoundingDoublingHighMul``: (a·b + 2^30) / 2^31, floored.

    gemmlowp adds a nudge by sign and truncates, which is the same as this floor. ``a`` and ``b``
    are within int32; the only product that saturates is (-2^31)².
    """
    product = np.asarray(a, np.int64) * b
    return np.minimum((product + (1 << 30)) >> 31, INT32_MAX)


def rounding_divide_by_pot(x: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """``x / 2^exponent`` rounded half away from zero; ``exponent`` in [0, 31]."""
    mask = (np.int64(1) << np.asarray(exponent, np.int64)) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def multiply_by_quantized_multiplier(
    x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """LiteRT's double rounding of ``x · multiplier · 2^(shift - 31)``, for int32 ``x``.

    ``multiplier`` and ``shift`` are scalars or broadcast along the last axis. A left shift that
    leaves int32 saturates; LiteRT's C++ is undefined there.
    """
    shift = np.asarray(shift, np.int64)
    left = saturating_left_shift(x, np.maximum(shift, 0))
    high = saturating_rounding_doubling_high_mul(left, multiplier)
    return rounding_divide_by_pot(high, np.maximum(-shift, 0))


def multiply_wide_by_quantized_multiplier(
    x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """LiteRT's rounding of ``x · multiplier · 2^(shift - 31)`` for 48-bit ``x``: half upwards.

    The multiplier is first rounded to 15 bits. ``OverflowError`` where C++ is undefined: ``x``
    beyond 48 bits, a shift of more than 7, a result beyond int32.
    """
    if x.size and max(int(x.max()), -int(x.min())) >= 1 << 47:
        raise OverflowError("an accumulator does not fit 48 bits")
    multiplier, shift = np.asarray(multiplier, np.int64), np.asarray(shift, np.int64)
    reduced = np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)
    right = 15 - shift
    result = (x * reduced + (np.int64(1) << (right - 1))) >> right
    if result.size and (result.max() > INT32_MAX or result.min() < INT32_MIN):
        raise OverflowError("a scaled accumulator does not fit int32")
    return np.asarray(result)


def round_half_away(x: np.ndarray) -> np.ndarray:
    """C's ``round``: float64 to the nearest integer, ties away from zero, as int64 within int32.

    ``trunc`` and the remainder are exact in float64, unlike ``floor(x + 0.5)``.
    """
    x = np.clip(x, float(INT32_MIN), float(INT32_MAX))
    whole = np.trunc(x)
    return (whole + np.copysign(np.abs(x - whole) >= 0.5, x)).astype(np.int64)


def activation_range(
    activation: str, scale: float, zero_point: int, dtype: str = "int8"
) -> tuple[int, int]:
    """The clamp of a fused activation, as ``CalculateActivationRangeQuantized`` has it.

    ``scale`` is a float32 value; the division is done in float32, as there. Without a bound it
    is the range of ``dtype``.
    """
    bounds = {
        "NONE": (None, None),
        "RELU": (0.0, None),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
        "RELU_0_TO_1": (0.0, 1.0),
    }
    whole = np.iinfo(dtype)
    low, high = (
        None if b is None else zero_point + _quantize(b, scale) for b in bounds[activation]
    )
    return (
        int(whole.min) if low is None else max(int(whole.min), low),
        int(whole.max) if high is None else min(int(whole.max), high),
    )


def _quantize(value: float, scale: float) -> int:
    with np.errstate(over="ignore"):
        quotient = np.float32(value) / np.float32(scale)
    return int(round_half_away(np.array(quotient, np.float64)))
