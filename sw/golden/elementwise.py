"""ADD, SUB and MUL as LiteRT's int8 reference kernels define them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kaniwa.golden.registry import Call, Kernel, kernel, quantization
from kaniwa.golden.rounding import multiply_by_quantized_multiplier, quantize_multiplier

__all__ = ["ADD_LEFT_SHIFT", "add_multipliers", "add", "mul_multiplier", "mul", "subtract"]

ADD_LEFT_SHIFT = 20


def add_multipliers(scale_a: float, scale_b: float, scale_out: float) -> tuple[float, float, float]:
    """The real multipliers of the two operands and of the sum, as ``add.cc`` prepares them.

    The operands are brought to a common scale, twice the larger one, with 20 fractional bits.
    """
    twice = 2.0 * max(scale_a, scale_b)
    return scale_a / twice, scale_b / twice, twice / ((1 << ADD_LEFT_SHIFT) * scale_out)


def add(
    a: np.ndarray,
    b: np.ndarray,
    *,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
    bounds: tuple[int, int],
) -> np.ndarray:
    """Rule ``litert_add``: int8 + int8 to int8, broadcast; scales and zero points (a, b, out)."""
    first, second = _on_common_scale(a, b, scales, zero_points)
    return _sum_to_int8(first + second, scales, zero_points[2], bounds)


def subtract(
    a: np.ndarray,
    b: np.ndarray,
    *,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
    bounds: tuple[int, int],
) -> np.ndarray:
    """Rule ``litert_sub``: int8 - int8 to int8, as ``add``; differences are rounded like sums."""
    first, second = _on_common_scale(a, b, scales, zero_points)
    return _sum_to_int8(first - second, scales, zero_points[2], bounds)


def _on_common_scale(
    a: np.ndarray,
    b: np.ndarray,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
) -> list[np.ndarray]:
    multipliers = [quantize_multiplier(m) for m in add_multipliers(*scales)]
    # |q - zero_point| ≤ 255, so 20 bits to the left stay within 28 bits, and the sum within 29.
    return [
        multiply_by_quantized_multiplier((q.astype(np.int64) - zp) << ADD_LEFT_SHIFT, m, s)
        for q, zp, (m, s) in zip((a, b), zero_points[:2], multipliers[:2], strict=True)
    ]


def _sum_to_int8(
    total: np.ndarray,
    scales: tuple[float, float, float],
    zero_point: int,
    bounds: tuple[int, int],
) -> np.ndarray:
    multiplier, shift = quantize_multiplier(add_multipliers(*scales)[2])
    scaled = multiply_by_quantized_multiplier(total, multiplier, shift)
    return np.clip(scaled + zero_point, *bounds).astype(np.int8)


def mul_multiplier(scale_a: float, scale_b: float, scale_out: float) -> float:
    """The real multiplier of a product, in float32 as ``mul.cc`` computes it."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(scale_a) * np.float32(scale_b) / np.float32(scale_out))


def mul(
    a: np.ndarray,
    b: np.ndarray,
    *,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
    bounds: tuple[int, int],
) -> np.ndarray:
    """Rule ``litert_mul``: int8 · int8 to int8, broadcast; scales and zero points (a, b, out)."""
    products = (a.astype(np.int64) - zero_points[0]) * (b.astype(np.int64) - zero_points[1])
    multiplier, shift = quantize_multiplier(mul_multiplier(*scales))
    scaled = multiply_by_quantized_multiplier(products, multiplier, shift)
    return np.clip(scaled + zero_points[2], *bounds).astype(np.int8)


def _elementwise(rule: Callable[..., np.ndarray]) -> Kernel:
    def run(call: Call) -> np.ndarray:
        a, b, out = call.quantization(0), call.quantization(1), quantization(call.output)
        return rule(
            call.value(0),
            call.value(1),
            scales=(a.scale, b.scale, out.scale),
            zero_points=(a.zero_point, b.zero_point, out.zero_point),
            bounds=call.bounds(call.attribute("activation")),
        )

    return run


kernel("ADD")(_elementwise(add))
kernel("SUB")(_elementwise(subtract))
kernel("MUL")(_elementwise(mul))
