"""SOFTMAX as LiteRT's int8 reference kernel defines it: gemmlowp's fixed-point exp and reciprocal.

``Qm.f`` below: a signed 32-bit number with m integer and f fractional bits, kept in int64 arrays.
Source: ``reference/softmax.h`` of LiteRT and gemmlowp's ``fixedpoint.h``.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.registry import Call, kernel
from kaniwa.golden.rounding import (
    INT32_MAX,
    INT32_MIN,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_left_shift,
)
from kaniwa.golden.rounding import saturating_rounding_doubling_high_mul as multiply

__all__ = ["INPUT_INTEGER_BITS", "softmax", "input_multiplier"]

INPUT_INTEGER_BITS = 5  # exp's argument is Q5.26
ACCUMULATOR_INTEGER_BITS = 12  # the sum of the exponentials is Q12.19
# exp(-2^k) in Q0.31 for k = -2 ... 4.
EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def input_multiplier(beta: float, scale: float) -> float:
    """The real multiplier that takes a difference of inputs to Q5.26, capped to stay in int32."""
    return min(beta * scale * (1 << (31 - INPUT_INTEGER_BITS)), float(INT32_MAX))


def softmax(x: np.ndarray, *, beta: float, scale: float) -> np.ndarray:
    """int8 [..., C] to int8 [..., C] with scale 1/256 and zero point -128, over the last axis.

    ``scale`` is the input's. C is at most 511: beyond that LiteRT itself can abort.
    """
    multiplier, left_shift = quantize_multiplier(input_multiplier(beta, scale))
    # Differences below -radius would leave Q5.26; LiteRT takes their exponential as zero.
    radius = (((1 << INPUT_INTEGER_BITS) - 1) << (31 - INPUT_INTEGER_BITS)) >> left_shift
    wide = x.astype(np.int64)
    difference = wide - wide.max(axis=-1, keepdims=True)
    counted = difference >= -radius
    scaled = multiply(np.where(counted, difference, 0) << left_shift, multiplier)
    exponential = np.where(counted, _exp_on_negative_values(scaled), 0)
    total = rounding_divide_by_pot(exponential, ACCUMULATOR_INTEGER_BITS).sum(
        axis=-1, keepdims=True
    )
    reciprocal, bits_over_unit = _reciprocal(total)
    result = rounding_divide_by_pot(multiply(exponential, reciprocal), bits_over_unit + 31 - 8)
    return np.clip(result - 128, -128, 127).astype(np.int8)


def _exp_on_negative_values(a: np.ndarray) -> np.ndarray:
    """exp of Q5.26 ``a`` ≤ 0, in Q0.31."""
    quarter = 1 << 24
    remainder = (a & (quarter - 1)) - quarter
    result = _exp_below_quarter(remainder << INPUT_INTEGER_BITS)
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


def _reciprocal(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 / total for Q12.19 ``total`` ≥ 1: a Q0.31 mantissa and the power of two to divide by."""
    # total fits float64 exactly, so its exponent gives the bit length: headroom + 1 = 32 - length.
    length = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    fraction = (total << (32 - length)) - (1 << 31)
    return _one_over_one_plus(fraction), ACCUMULATOR_INTEGER_BITS - (32 - length)


def _one_over_one_plus(a: np.ndarray) -> np.ndarray:
    """1 / (1 + a) for Q0.31 ``a`` in [0, 1): Newton-Raphson in Q2.29, three steps."""
    half_denominator = (a + INT32_MAX + 1) >> 1
    x = 1515870810 + multiply(half_denominator, -1010580540)  # 48/17 - 32/17 · d
    for _ in range(3):
        error = (1 << 29) - multiply(half_denominator, x)
        x = x + saturating_left_shift(multiply(x, error), 2)
    return np.clip(x << 1, INT32_MIN, INT32_MAX)


@kernel("SOFTMAX")
def _softmax(call: Call) -> np.ndarray:
    scale = call.quantization(0).scale
    return softmax(call.value(0), beta=call.attribute("beta"), scale=scale)
