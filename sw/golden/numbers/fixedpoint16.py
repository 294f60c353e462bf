"""gemmlowp's 16-bit fixed-point functions, which LiteRT's integer LSTM calls.

``Qm.f`` below: a signed 16-bit number with m integer and f fractional bits, kept in int64 arrays.
Source: gemmlowp's ``fixedpoint.h``; its 32-bit constants are rounded to 16 bits.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import rounding_divide_by_pot

__all__ = ["multiply", "saturate", "logistic", "tanh"]

ONE = 32767  # of Q0.15
# exp(-2^k) in Q0.15 for k = -2 ... 4.
EXP_FACTORS = (25520, 19875, 12055, 4435, 600, 11, 0)
EXP_MINUS_EIGHTH, THIRD = 28918, 10923  # in Q0.15
INTERCEPT, SLOPE = 23130, -15420  # 48/17 and -32/17 in Q2.13
UNIT = 1 << 13  # of Q2.13


def saturate(x: np.ndarray) -> np.ndarray:
    """``x`` clamped to 16 bits."""
    return np.clip(x, -32768, 32767)


def multiply(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """gemmlowp's 16-bit ``SaturatingRoundingDoublingHighMul``: (a·b + 2^14) / 2^15, floored."""
    return np.minimum((a * b + (1 << 14)) >> 15, 32767)


def logistic(a: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-a)) of Q3.12 ``a``, in Q0.15."""
    positive = _one_over_one_plus(_exp_on_negative_values(-np.abs(a), 3))
    return np.where(a == 0, 1 << 14, np.where(a > 0, positive, ONE - positive))


def tanh(a: np.ndarray, integer_bits: int) -> np.ndarray:
    """tanh of ``a`` with 0 to 6 ``integer_bits``, in Q0.15."""
    exponential = _exp_on_negative_values(-np.abs(a), integer_bits + 1)  # of twice the argument
    half_tanh = _newton(exponential) - UNIT  # 2 / (1 + e) - 1
    return np.sign(a) * saturate(half_tanh << 2)


def _exp_on_negative_values(a: np.ndarray, integer_bits: int) -> np.ndarray:
    """exp of ``a`` ≤ 0 with ``integer_bits``, in Q0.15."""
    fraction_bits = 15 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    remainder = (a & (quarter - 1)) - quarter
    result = _exp_below_quarter(saturate(remainder << integer_bits))
    rest = remainder - a
    for exponent, factor in enumerate(EXP_FACTORS, -2):
        if exponent < integer_bits:
            bit = 1 << (fraction_bits + exponent)
            result = np.where(rest & bit, multiply(result, factor), result)
    if integer_bits > 5:
        result = np.where(a < -(32 << fraction_bits), 0, result)
    return np.where(a == 0, ONE, result)


def _exp_below_quarter(a: np.ndarray) -> np.ndarray:
    """exp of Q0.15 ``a`` in [-1/4, 0): a Taylor series round -1/8."""
    x = a + (1 << 12)
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4_over_4 = rounding_divide_by_pot(multiply(x2, x2), 2)
    series = rounding_divide_by_pot(multiply(x4_over_4 + x3, THIRD) + x2, 1)
    return saturate(EXP_MINUS_EIGHTH + multiply(x + series, EXP_MINUS_EIGHTH))


def _newton(a: np.ndarray) -> np.ndarray:
    """2 / (1 + a) in Q2.13 for Q0.15 ``a`` in [0, 1]: Newton-Raphson, three steps."""
    half_denominator = (a + ONE + 1) >> 1
    x = INTERCEPT + multiply(half_denominator, SLOPE)
    for _ in range(3):
        error = UNIT - multiply(half_denominator, x)
        x = x + saturate(multiply(x, error) << 2)
    return x


def _one_over_one_plus(a: np.ndarray) -> np.ndarray:
    """1 / (1 + a) in Q0.15 for Q0.15 ``a`` in [0, 1]."""
    return saturate(_newton(a) << 1)
