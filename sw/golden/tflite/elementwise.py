"""ADD, SUB and MUL as LiteRT's reference kernels define them.

Sources: ``add.cc``, ``sub.cc``, ``mul.cc`` and their files under ``internal/reference``. Integers
of 8 and 16 bits are quantised; int32 and int64 are plain integers, whose sums and products must
not leave their type; float32 is computed in one rounded step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kaniwa.golden.numbers.rounding import multiply_by_quantized_multiplier, quantize_multiplier
from kaniwa.golden.registry import Call, Kernel, kernel, quantization
from kaniwa.golden.tflite.plain import clamped, exact_integer

__all__ = ["add_multipliers", "add", "mul_multiplier", "mul", "subtract"]

LEFT_SHIFT = {"int8": 20, "uint8": 20, "int16": 15}  # fractional bits of the common scale
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
