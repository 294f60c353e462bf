"""SOFTMAX of 8 bits in quantised ONNX models, in fixed point: rule ``qdq_fixed_point``.

In float32 a softmax is no function of its integers, as no sum is (``qdq``), and its exact value,
rounded once, is none that integers of a fixed width decide for every row. So the rule says how the
value is computed, with more bits than float32 has:

    e = 2^30 · exp(x - max), the nearest integer
    g = 1 / Σ e by gemmlowp's reciprocal of 31 bits, over the output's scale, in 31 bits
    y = clamp(e · g, rounded half up + zero point)

Where a product is shifted right by more than 31 bits, g is by what is beyond 31.
Before it is rounded a result of up to 511 values is within 2^-13 of a step of the exact one, of up
to 16,384 within 2^-8.
"""

from __future__ import annotations

from decimal import Context, Decimal
from functools import lru_cache

import numpy as np

from kaniwa.golden.numbers.fixedpoint import one_over_one_plus
from kaniwa.golden.numbers.rounding import (
    quantize_multiplier,
    saturating_rounding_doubling_high_mul as multiply,
)
from kaniwa.golden.onnx.qdq import finish_integers
from kaniwa.golden.registry import Call, kernel, quantization

__all__ = ["RULE", "SMALLEST_STEP", "exponential_table", "softmax"]

RULE = "qdq_fixed_point"
FRACTION_BITS = 30
MOST_SHIFT = 31
# Of a result; below it a quotient would be shifted to the left.
SMALLEST_STEP = 2.0**-24


@lru_cache(maxsize=16)
def exponential_table(scale: float) -> np.ndarray:
    """int64 [256]: 2^30 · exp(difference · scale) for differences to the largest value of -255 to
    0. Decimals, as they are the same on every machine."""
    context = Context(prec=30, Emin=-(10**6))
    step, unit = Decimal(scale), Decimal(1 << FRACTION_BITS)
    powers = (context.exp(context.multiply(step, d)) for d in range(-255, 1))
    table = np.array([int(context.to_integral_value(context.multiply(unit, power)))
                      for power in powers], np.int64)
    table.flags.writeable = False
    return table


def softmax(x: np.ndarray, axis: int, scale: float, output_scale: float) -> np.ndarray:
    """int64, of the shape of ``x`` (int8): the results along ``axis`` in steps of ``output_scale``,
    before zero point and clamp. ``OverflowError`` for steps below SMALLEST_STEP."""
    if output_scale < SMALLEST_STEP:
        raise OverflowError(f"rule {RULE} has no steps of {output_scale:g}, below {SMALLEST_STEP}")
    wide = x.astype(np.int64)
    difference = wide - wide.max(axis=axis, keepdims=True)
    exponential = exponential_table(scale)[255 + difference]
    total = exponential.sum(axis=axis, keepdims=True)
    length = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    half = total >> (length - 31)       # (1 + a) / 2 in Q0.31
    multiplier, left = quantize_multiplier(1 / output_scale)
    factor = multiply(one_over_one_plus((half << 1) - (1 << 31)), multiplier)
    right = np.minimum(length - 1 - left, 62)
    factor >>= np.maximum(right - MOST_SHIFT, 0)
    right = np.minimum(right, MOST_SHIFT)
    return (multiply(exponential, factor) + (np.int64(1) << (right - 1))) >> right


@kernel("SOFTMAX", rule=RULE)
def _softmax(call: Call) -> np.ndarray:
    return finish_integers(call, softmax(call.value(0), call.attribute("axis"),
                                         call.quantization(0).scale,
                                         quantization(call.output).scale))
