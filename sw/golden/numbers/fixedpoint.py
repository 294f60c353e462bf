"""gemmlowp's fixed-point functions: exponential, reciprocal, logarithm and inverse square root.

``Qm.f`` below: a signed 32-bit number with m integer and f fractional bits, kept in int64 arrays.
Sources: gemmlowp's ``fixedpoint.h`` and LiteRT's ``kernels/internal/common.h``.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import (
    INT32_MAX,
    INT32_MIN,
    rounding_divide_by_pot,
    saturating_left_shift,
    saturating_rounding_doubling_high_mul as multiply,
)

__all__ = [
    "exp_on_negative_values",
    "reciprocal",
    "one_over_one_plus",
    "log_from_one",
    "inverse_square_root",
]

# exp(-2^k) in Q0.31 for k = -2 ... 4.
EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
SQRT_HALF = 1518500250  # in Q0.31


def exp_on_negative_values(a: np.ndarray) -> np.ndarray:
    """exp of Q5.26 ``a`` ≤ 0, in Q0.31."""
    quarter = 1 << 24
    remainder = (a & (quarter - 1)) - quarter
    result = _exp_below_quarter(remainder << 5)
    rest = remainder - a
    for position, factor in enumerate(EXP_FACTORS):
        result = np.where(rest & (quarter << position), multiply(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def _exp_below_quarter(a: np.ndarray) -> np.ndarray:
    """exp of Q0.31 ``a`` in [-1/4, 0): a Taylor series round -1/8."""
    exp_minus_eighth, third = 1895147668, 715827883
    x = a + (1 << 28)
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4_over_4 = rounding_divide_by_pot(multiply(x2, x2), 2)
    series = rounding_divide_by_pot(multiply(x4_over_4 + x3, third) + x2, 1)
    return exp_minus_eighth + multiply(x + series, exp_minus_eighth)


def reciprocal(x: np.ndarray, integer_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """1 / x for x ≥ 1 with ``integer_bits``: a Q0.31 mantissa, the power of two to divide by."""
    length = _bit_length(x)
    fraction = (x << (32 - length)) - (1 << 31)
    return one_over_one_plus(fraction), integer_bits - (32 - length)


def one_over_one_plus(a: np.ndarray) -> np.ndarray:
    """1 / (1 + a) for Q0.31 ``a`` in [0, 1): Newton-Raphson in Q2.29, three steps."""
    half_denominator = (a + INT32_MAX + 1) >> 1
    x = 1515870810 + multiply(half_denominator, -1010580540)  # 48/17 - 32/17 · d
    for _ in range(3):
        error = (1 << 29) - multiply(half_denominator, x)
        x = x + saturating_left_shift(multiply(x, error), 2)
    return np.clip(x << 1, INT32_MIN, INT32_MAX)


def log_from_one(x: np.ndarray) -> np.ndarray:
    """log of Q12.19 ``x`` ≥ 1, in Q5.26.

    ``x`` is z · 2^n with z round 2^(-1/4); the logarithm of z is a quotient of polynomials. Sums
    have one integer bit more (Q6.25).
    """
    root = 1805811301  # 2^(-1/4) in Q0.31
    quarter = 1 << 23
    length = _bit_length(x)
    mantissa_a = saturating_left_shift(
        multiply(saturating_left_shift(x, length_to_shift(length)), SQRT_HALF), 1
    )
    power_a = saturating_left_shift(12 - (32 - length), 25) + quarter
    shift_b = length_to_shift(_bit_length(multiply(x, SQRT_HALF)))
    mantissa_b = saturating_left_shift(x, shift_b)
    power_b = saturating_left_shift(12 - shift_b, 25) - quarter
    z = np.minimum(mantissa_a, mantissa_b)
    power = np.maximum(power_a, power_b)
    middle = (z + root + 1) >> 1
    q = 2 * (z - root)
    square = multiply(q, q)
    numerator = multiply(q, z) + multiply(multiply(q, square), 117049297)
    denominator = multiply(middle, 1057819769 + q + multiply(square, 127690142)) + multiply(
        q, 638450708
    )
    quotient = multiply(rounding_divide_by_pot(numerator, 6), one_over_one_plus(denominator))
    return saturating_left_shift(multiply(power, 1488522236) + quotient, 1)


def length_to_shift(length: np.ndarray) -> np.ndarray:
    """The left shift that brings a number of ``length`` bits to 31 bits."""
    return 31 - length


def inverse_square_root(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 / √x for integers x ≥ 0 as (multiplier, left shift); x = 0 counts as 1."""
    small = x <= 1
    x = np.where(small, 2, x).astype(np.int64)
    shift = np.full(x.shape, 11, np.int64)
    while (x >= 1 << 29).any():
        large = x >= 1 << 29
        x, shift = np.where(large, x // 4, x), shift + large
    pairs = (31 - _bit_length(x)) // 2 - 1
    shift, x = shift - pairs, x << (2 * pairs)
    number = x >> 1  # Q3.28, as is all that follows; products of two have 6 integer bits.
    half = rounding_divide_by_pot(number, 1)
    root = np.full(x.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = saturating_left_shift(multiply(multiply(root, root), root), 6)
        root = saturating_left_shift(multiply(root, 3 << 27) - multiply(half, cube), 3)
    multiplier = multiply(root, SQRT_HALF) << np.maximum(-shift, 0)
    return np.where(small, INT32_MAX, multiplier), np.where(small, 0, -np.maximum(shift, 0))


def _bit_length(x: np.ndarray) -> np.ndarray:
    """The bits of positive numbers below 2^53, whose float64 exponent tells them exactly."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)
