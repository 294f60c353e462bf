"""Arithmetic of one or two operands as LiteRT's reference kernels define it.

Sources: ``add.cc``, ``sub.cc``, ``mul.cc``, ``div.h``, ``floor_div.cc``, ``maximum_minimum.cc``,
``squared_difference.cc``, ``neg.cc`` and ``elementwise.cc`` of its kernels. Integers of 8 and 16
bits are quantised; int32 and int64 are plain integers, whose sums and products must not leave their
type; float32 is computed in one rounded step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kaniwa.golden.numbers.fixedpoint import reciprocal
from kaniwa.golden.numbers.rounding import (
    INT32_MAX,
    INT32_MIN,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from kaniwa.golden.registry import Call, Kernel, kernel, quantization
from kaniwa.golden.tflite.plain import clamped, exact_integer

__all__ = ["add_multipliers", "add", "mul_multiplier", "mul", "subtract", "div_multiplier",
           "squared_difference_multipliers", "abs_multiplier"]

LEFT_SHIFT = {"int8": 20, "uint8": 20, "int16": 15}  # fractional bits of the common scale
DIFFERENCE_SHIFT = 7  # fractional bits of SQUARED_DIFFERENCE's common scale
Scales = tuple[float, float, float]
Integers = tuple[int, int, int]
Bounds = tuple[int, int]


def add_multipliers(
    scale_a: float, scale_b: float, scale_out: float, dtype: str = "int8"
) -> tuple[float, float, float]:
    """The real multipliers of the two operands and of the sum, as ``add.cc`` prepares them.

    The operands are brought to a common scale, twice the larger one, with 20 or 15 fractional bits.
    """
    twice = 2.0 * max(scale_a, scale_b)
    return scale_a / twice, scale_b / twice, twice / ((1 << LEFT_SHIFT[dtype]) * scale_out)


def add(
    a: np.ndarray, b: np.ndarray, *, scales: Scales, zero_points: Integers, bounds: Bounds
) -> np.ndarray:
    """Rule ``litert_add``: both operands and the sum of one dtype; broadcast.

    Scales, zero points: (a, b, out).
    """
    first, second = _on_common_scale(a, b, scales, zero_points)
    return _rescaled_sum(first + second, a.dtype, scales, zero_points[2], bounds)


def subtract(
    a: np.ndarray, b: np.ndarray, *, scales: Scales, zero_points: Integers, bounds: Bounds
) -> np.ndarray:
    """Rule ``litert_sub``: as ``add``; differences are rounded like sums."""
    first, second = _on_common_scale(a, b, scales, zero_points)
    return _rescaled_sum(first - second, a.dtype, scales, zero_points[2], bounds)


def _on_common_scale(
    a: np.ndarray, b: np.ndarray, scales: Scales, zero_points: Integers
) -> list[np.ndarray]:
    dtype = str(a.dtype)
    multipliers = [quantize_multiplier(m) for m in add_multipliers(*scales, dtype)]
    # |q - zero_point| takes 8 or 16 bits, so shifted it stays within int32, and the sum too.
    return [
        multiply_by_quantized_multiplier((q.astype(np.int64) - zp) << LEFT_SHIFT[dtype], m, s)
        for q, zp, (m, s) in zip((a, b), zero_points[:2], multipliers[:2], strict=True)
    ]


def _rescaled_sum(
    total: np.ndarray, dtype: np.dtype, scales: Scales, zero_point: int, bounds: Bounds
) -> np.ndarray:
    multiplier, shift = quantize_multiplier(add_multipliers(*scales, str(dtype))[2])
    scaled = multiply_by_quantized_multiplier(total, multiplier, shift)
    return np.clip(scaled + zero_point, *bounds).astype(dtype)


def mul_multiplier(scale_a: float, scale_b: float, scale_out: float) -> float:
    """The real multiplier of a product, in float32 as ``mul.cc`` computes it."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(scale_a) * np.float32(scale_b) / np.float32(scale_out))


def mul(
    a: np.ndarray, b: np.ndarray, *, scales: Scales, zero_points: Integers, bounds: Bounds
) -> np.ndarray:
    """Rule ``litert_mul``: operands and product of one dtype; broadcast; as ``add``."""
    products = (a.astype(np.int64) - zero_points[0]) * (b.astype(np.int64) - zero_points[1])
    multiplier, shift = quantize_multiplier(mul_multiplier(*scales))
    scaled = multiply_by_quantized_multiplier(products, multiplier, shift)
    return np.clip(scaled + zero_points[2], *bounds).astype(a.dtype)


def _elementwise(rule: Callable[..., np.ndarray], plain: np.ufunc) -> Kernel:
    def run(call: Call) -> np.ndarray:
        activation = call.attribute("activation")
        if call.output.dtype == "float32":
            with np.errstate(all="ignore"):
                return clamped(plain(call.value(0), call.value(1)), activation)
        if call.output.dtype in ("int32", "int64"):
            return clamped(exact_integer(plain, call.value(0), call.value(1)), activation)
        a, b, out = call.quantization(0), call.quantization(1), quantization(call.output)
        return rule(
            call.value(0),
            call.value(1),
            scales=(a.scale, b.scale, out.scale),
            zero_points=(a.zero_point, b.zero_point, out.zero_point),
            bounds=call.bounds(activation),
        )

    return run


kernel("ADD")(_elementwise(add, np.add))
kernel("SUB")(_elementwise(subtract, np.subtract))
kernel("MUL")(_elementwise(mul, np.multiply))


def div_multiplier(scale_a: float, scale_b: float, scale_out: float) -> float:
    """The real multiplier of a quotient, in float32 as ``div.cc`` computes it."""
    with np.errstate(all="ignore"):
        return float(np.float32(scale_a) / (np.float32(scale_b) * np.float32(scale_out)))


@kernel("DIV")
def _div(call: Call) -> np.ndarray:
    a, b = call.value(0), call.value(1)
    activation = call.attribute("activation")
    if a.dtype == np.float32:
        with np.errstate(all="ignore"):
            return clamped(a / b, activation)
    if a.dtype == np.int32:
        return clamped(_truncated(a, b), activation)
    qa, qb, out = call.quantization(0), call.quantization(1), quantization(call.output)
    dividend, divisor = a.astype(np.int64) - qa.zero_point, b.astype(np.int64) - qb.zero_point
    _no_zero(divisor)
    dividend, divisor = dividend * np.sign(divisor), np.abs(divisor)
    inverse, divided = reciprocal(divisor, 31)
    # The dividend is shifted to the left as far as int32 goes; 0 counts as having 31 bits of room.
    magnitude = np.where(dividend < 0, -2 * dividend - 1, 2 * dividend)
    room = 32 - np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)
    room = np.where(dividend == 0, 31, room)
    quotient = saturating_rounding_doubling_high_mul(dividend << room, inverse)
    multiplier, shift = quantize_multiplier(div_multiplier(qa.scale, qb.scale, out.scale))
    scaled = rounding_divide_by_pot(
        saturating_rounding_doubling_high_mul(quotient, multiplier), divided + room - shift
    )
    return np.clip(scaled + out.zero_point, *call.bounds(activation)).astype(a.dtype)


def _no_zero(divisor: np.ndarray) -> None:
    if not divisor.all():
        raise OverflowError("division by zero, which the reference refuses")


def _truncated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """C's integer division."""
    _no_zero(b)
    if ((a == np.iinfo(a.dtype).min) & (b == -1)).any():
        raise OverflowError(f"a quotient does not fit {a.dtype}")
    floor = a // b
    return floor + ((a % b != 0) & (floor < 0))


@kernel("FLOOR_DIV")
def _floor_div(call: Call) -> np.ndarray:
    a, b = call.value(0), call.value(1)
    _no_zero(b)
    if a.dtype == np.float32:
        with np.errstate(all="ignore"):
            # The reference divides in double precision.
            return np.floor(a.astype(np.float64) / b).astype(np.float32)
    if ((a == np.iinfo(a.dtype).min) & (b == -1)).any():
        raise OverflowError(f"a quotient does not fit {a.dtype}")
    return a // b


@kernel("MAXIMUM")
def _maximum(call: Call) -> np.ndarray:
    a, b = call.value(0), call.value(1)
    return np.where(a > b, a, b)


@kernel("MINIMUM")
def _minimum(call: Call) -> np.ndarray:
    a, b = call.value(0), call.value(1)
    return np.where(a < b, a, b)


def squared_difference_multipliers(
    scale_a: float, scale_b: float, scale_out: float
) -> tuple[float, float, float]:
    """The real multipliers of the operands and of the square."""
    twice = 2.0 * max(scale_a, scale_b)
    return (
        scale_a / twice,
        scale_b / twice,
        twice * twice / ((1 << (2 * DIFFERENCE_SHIFT)) * scale_out),
    )


@kernel("SQUARED_DIFFERENCE")
def _squared_difference(call: Call) -> np.ndarray:
    a, b = call.value(0), call.value(1)
    if a.dtype == np.float32:
        with np.errstate(all="ignore"):
            difference = a - b
            return difference * difference
    if a.dtype == np.int32:
        difference = exact_integer(np.subtract, a, b)
        return exact_integer(np.multiply, difference, difference)
    qa, qb, out = call.quantization(0), call.quantization(1), quantization(call.output)
    reals = squared_difference_multipliers(qa.scale, qb.scale, out.scale)
    pairs = [quantize_multiplier(real) for real in reals]
    scaled = [
        multiply_by_quantized_multiplier((x.astype(np.int64) - zero) << DIFFERENCE_SHIFT, m, s)
        for x, zero, (m, s) in zip(
            (a, b), (qa.zero_point, qb.zero_point), pairs[:2], strict=True)
    ]
    square = (scaled[0] - scaled[1]) ** 2
    result = multiply_by_quantized_multiplier(square, *pairs[2]) + out.zero_point
    return np.clip(result, *call.bounds("NONE")).astype(a.dtype)


@kernel("NEG")
def _neg(call: Call) -> np.ndarray:
    """Integers as they are, whatever their scale and zero point, as the reference has it."""
    x = call.value(0)
    if x.dtype in (np.int8, np.int16):
        return -x  # the least number stays what it is, as in the reference
    if x.dtype != np.float32 and (x == np.iinfo(x.dtype).min).any():
        raise OverflowError(f"the negative of {np.iinfo(x.dtype).min} does not fit {x.dtype}")
    return -x


def abs_multiplier(scale: float, scale_out: float) -> float:
    """The real multiplier of an absolute value, in float32 as ``elementwise.cc`` computes it."""
    return float(np.float32(scale) / np.float32(scale_out))


@kernel("ABS")
def _abs(call: Call) -> np.ndarray:
    x = call.value(0)
    if x.dtype == np.float32:
        return np.abs(x)
    if x.dtype == np.int32:
        if (x == INT32_MIN).any():
            raise OverflowError(f"{-INT32_MIN} is beyond {INT32_MAX}")
        return np.abs(x)
    q, out = call.quantization(0), quantization(call.output)
    value = np.abs(x.astype(np.int64) - q.zero_point)
    if q.scale != out.scale:
        pair = quantize_multiplier(abs_multiplier(q.scale, out.scale))
        value = multiply_by_quantized_multiplier(value, *pair)
    return np.clip(value + out.zero_point, *call.bounds("NONE")).astype(x.dtype)
