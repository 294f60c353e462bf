"""SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION as LiteRT's reference kernels define them.

All three are over the last axis. Sources: ``reference/softmax.h``, ``reference/log_softmax.h``,
``reference/l2normalization.h`` and their ``integer_ops``. Bytes of the first two use
gemmlowp's fixed-point exponential, int16 two interpolated tables, float32 the C library.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from kaniwa.golden.numbers import libm
from kaniwa.golden.numbers.fixedpoint import (
    exp_on_negative_values,
    inverse_square_root,
    log_from_one,
    reciprocal,
)
from kaniwa.golden.numbers.rounding import (
    INT32_MAX,
    INT32_MIN,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul as multiply,
)
from kaniwa.golden.numbers.tables import int16_table, look_up_int16
from kaniwa.golden.registry import Call, kernel

__all__ = [
    "INPUT_INTEGER_BITS",
    "input_multiplier",
    "int16_input_multiplier",
    "softmax",
    "exponential_table",
    "int16_tables",
    "softmax_int16",
    "softmax_float",
    "log_softmax",
    "log_softmax_float",
    "l2_norm",
    "l2_norm_float",
]

INPUT_INTEGER_BITS = 5  # exp's argument is Q5.26
SMALLEST_NORM = 1e-6
ACCUMULATOR_INTEGER_BITS = 12  # the sum of the exponentials is Q12.19
INT16_RANGE = 65535


def input_multiplier(beta: float, scale: float) -> float:
    """The real multiplier that takes a difference of inputs to Q5.26, capped to stay in int32."""
    return min(beta * scale * (1 << (31 - INPUT_INTEGER_BITS)), float(INT32_MAX))


def softmax(x: np.ndarray, *, beta: float, scale: float, dtype: str = "int8") -> np.ndarray:
    """int8 or uint8 [..., C] to ``dtype``: int8, uint8 or int16 over its whole range.

    ``scale`` is the input's; the smallest output stands for 0. C is at most 4095. Where
    exponentials add up to 512 or more, as only more than 511 values can, the reference is undefined
    for 8-bit outputs: ``OverflowError``.
    """
    limits = np.iinfo(dtype)
    exponential, total = _exponentials(x, beta, scale)[1:]
    mantissa, bits_over_unit = reciprocal(total, ACCUMULATOR_INTEGER_BITS)
    exponent = bits_over_unit + 31 - limits.bits
    if exponent.size and exponent.max() > 31:
        raise OverflowError("more than 511 values are near the largest, for which the reference "
                            "is undefined")
    result = rounding_divide_by_pot(multiply(exponential, mantissa), exponent)
    return np.clip(result + limits.min, limits.min, limits.max).astype(dtype)


def _exponentials(
    x: np.ndarray, beta: float, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences to the largest value in Q5.26, exponentials in Q0.31, their sum in Q12.19.

    Differences that would leave Q5.26 are not counted: their exponential is 0.
    """
    multiplier, left_shift = quantize_multiplier(input_multiplier(beta, scale))
    wide = x.astype(np.int64)
    difference = wide - wide.max(axis=-1, keepdims=True)
    counted = difference >= -_radius(left_shift)
    scaled = multiply(np.where(counted, difference, 0) << left_shift, multiplier)
    exponential = np.where(counted, exp_on_negative_values(scaled), 0)
    total = rounding_divide_by_pot(exponential, ACCUMULATOR_INTEGER_BITS)
    return scaled, exponential, total.sum(axis=-1, keepdims=True)


def exponential_table(*, beta: float, scale: float) -> np.ndarray:
    """int64 [256]: the exponentials that ``softmax`` adds up, in Q0.31, for differences to the
    largest value of -255 to 0."""
    pairs = np.stack([np.arange(-255, 1), np.zeros(256, np.int64)], axis=1)
    return _exponentials(pairs, beta, scale)[1][:, 0]


def _radius(left_shift: int) -> int:
    """The largest difference of inputs that stays in Q5.26."""
    return (((1 << INPUT_INTEGER_BITS) - 1) << (31 - INPUT_INTEGER_BITS)) >> left_shift


def int16_input_multiplier(beta: float, scale: float) -> float:
    """The real multiplier that takes a difference of int16 inputs to steps of 10 / 65535."""
    return float(np.float32(scale) * np.float32(beta)) / (10.0 / INT16_RANGE)


def softmax_int16(x: np.ndarray, *, beta: float, scale: float) -> np.ndarray:
    """int16 [..., C] to int16 with scale 1/32768; ``scale`` is the input's.

    Exponentials below exp(-10) count as exp(-10); they and the reciprocal of their sum come from
    interpolated tables.
    """
    exp_table, reciprocal_table = int16_tables()
    real = int16_input_multiplier(beta, scale)
    wide = x.astype(np.int64)
    difference = wide - wide.max(axis=-1, keepdims=True)
    scaled = multiply_by_quantized_multiplier(difference, *quantize_multiplier(real))
    centred = np.clip(scaled + 32767, -32768, 32767).astype(np.int16)
    exponential = look_up_int16(exp_table, centred).astype(np.int64)
    total = exponential.sum(axis=-1, keepdims=True)
    length = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    # The sum's leading 17 bits, as 1 + a fraction.
    leading = ((total << (31 - length)) + (1 << 13)) >> 14
    fraction = np.clip(leading - (1 << 15) - (1 << 16), -32768, 32767).astype(np.int16)
    inverse = look_up_int16(reciprocal_table, fraction).astype(np.int64)
    shift = length - 1
    result = (exponential * inverse + (np.int64(1) << (shift - 1))) >> shift
    return np.clip(result, 0, 32767).astype(np.int16)


@cache
def int16_tables() -> tuple[np.ndarray, np.ndarray]:
    """exp over [-10, 0] and 1 / (1 + x) over [0, 1], filled in float64."""
    exp = int16_table(
        np.vectorize(np.exp, otypes=[np.float64]),
        scales=(10.0 / INT16_RANGE, 2.0 / INT16_RANGE),
        zero_points=(32767, 0),
        real=np.float64,
    )
    inverse = int16_table(
        lambda value: 1.0 / (1.0 + value),
        scales=(1.0 / INT16_RANGE, 2.0 / INT16_RANGE),
        zero_points=(-32768, 0),
        real=np.float64,
    )
    return exp, inverse


def softmax_float(x: np.ndarray, *, beta: float) -> np.ndarray:
    """float32 [..., C] to float32; the sum is made in float32, from the first value on."""
    with np.errstate(invalid="ignore"):  # of infinite inputs nothing but NaN comes
        exponential = libm.exp((x - x.max(axis=-1, keepdims=True)) * np.float32(beta))
        return exponential / _sum_in_order(exponential)


def _sum_in_order(x: np.ndarray) -> np.ndarray:
    """The float32 sums over the last axis, each rounded term by term."""
    return np.cumsum(x, axis=-1, dtype=np.float32)[..., -1:]


def log_softmax(x: np.ndarray, *, scale: float) -> np.ndarray:
    """int8 or uint8 [..., C] to the same dtype with scale 1/16, whose largest value is 0."""
    limits = np.iinfo(x.dtype)
    real = input_multiplier(1.0, scale)
    multiplier, left_shift = quantize_multiplier(real)
    scaled, _, total = _exponentials(x, 1.0, scale)
    logarithm = log_from_one(total)
    # How far down the difference may go until the result leaves Q5.26.
    back, back_shift = quantize_multiplier((1 << (31 - left_shift)) / multiplier)
    lowest = np.maximum(
        -_radius(left_shift) - 1,
        multiply_by_quantized_multiplier(logarithm + INT32_MIN, back, back_shift),
    )
    wide = x.astype(np.int64)
    inside = wide - wide.max(axis=-1, keepdims=True) > lowest
    result = rounding_divide_by_pot(scaled - logarithm, 31 - INPUT_INTEGER_BITS - 4) + limits.max
    return np.where(inside, np.clip(result, limits.min, limits.max), limits.min).astype(x.dtype)


def log_softmax_float(x: np.ndarray) -> np.ndarray:
    """float32 [..., C] to float32."""
    with np.errstate(invalid="ignore"):
        difference = x - x.max(axis=-1, keepdims=True)
        return difference - libm.log(_sum_in_order(libm.exp(difference)))


def l2_norm(x: np.ndarray, *, zero_point: int) -> np.ndarray:
    """int8 or uint8 over the norm of its last axis, to the same dtype with scale 1/128.

    The output's zero point is the middle of its range. Raises ``OverflowError`` where a sum of
    squares leaves int32.
    """
    limits = np.iinfo(x.dtype)
    value = x.astype(np.int64) - zero_point
    squares = (value * value).sum(axis=-1, keepdims=True)
    if squares.size and squares.max() > INT32_MAX:
        raise OverflowError(f"a sum of squares of {int(squares.max())} does not fit int32")
    multiplier, shift = inverse_square_root(squares)
    if x.dtype == np.uint8:  # this kernel shifts its input instead of the product
        result = multiply_by_quantized_multiplier(128 * value, multiplier, shift)
    else:
        result = multiply_by_quantized_multiplier(value, multiplier, shift + 7)
    middle = (limits.min + limits.max + 1) // 2
    return np.clip(result + middle, limits.min, limits.max).astype(x.dtype)


def l2_norm_float(x: np.ndarray) -> np.ndarray:
    """float32 over the norm of its last axis; squares are summed in order, in float32."""
    squares = np.cumsum(x * x, axis=-1, dtype=np.float32)[..., -1:]
    return x / np.maximum(np.sqrt(squares), np.float32(SMALLEST_NORM))


@kernel("SOFTMAX")
def _softmax(call: Call) -> np.ndarray:
    x, beta = call.value(0), call.attribute("beta")
    if x.dtype == np.float32:
        return softmax_float(x, beta=beta)
    scale = call.quantization(0).scale
    if x.dtype == np.int16:
        return softmax_int16(x, beta=beta, scale=scale)
    return softmax(x, beta=beta, scale=scale, dtype=call.output.dtype)


@kernel("LOG_SOFTMAX")
def _log_softmax(call: Call) -> np.ndarray:
    x = call.value(0)
    if x.dtype == np.float32:
        return log_softmax_float(x)
    return log_softmax(x, scale=call.quantization(0).scale)


@kernel("L2_NORMALIZATION")
def _l2_norm(call: Call) -> np.ndarray:
    x = call.value(0)
    if x.dtype == np.float32:
        return l2_norm_float(x)
    return l2_norm(x, zero_point=call.quantization(0).zero_point)
