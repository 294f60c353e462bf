"""The RELU family, LEAKY_RELU, PRELU and HARD_SWISH as LiteRT's reference kernels define them.

Sources: ``activations.cc``, ``reference/leaky_relu.h``, ``prelu.h`` and ``hard_swish.h``.
Quantised arrays are int8, uint8 or int16; pairs of scales and zero points are (input, output).
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from kaniwa.golden.registry import Call, kernel, quantization

__all__ = [
    "relu",
    "relu_float",
    "leaky_relu",
    "leaky_relu_float",
    "prelu",
    "prelu_float",
    "hard_swish",
    "hard_swish_float",
    "hard_swish_multipliers",
]

FLOAT_BOUNDS = {
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}


def relu(
    x: np.ndarray,
    *,
    scales: tuple[float, float],
    zero_points: tuple[int, int],
    bounds: tuple[int, int],
) -> np.ndarray:
    """A stand-alone clamp with requantization to the input's dtype.

    ``activations.cc`` divides the two float32 scales in float32 before it widens the quotient.
    """
    rescaled = _rescaled(x.astype(np.int64) - zero_points[0], _float32(scales[0]) / scales[1])
    return np.clip(rescaled + zero_points[1], *bounds).astype(x.dtype)


def relu_float(x: np.ndarray, *, bounds: tuple[float, float]) -> np.ndarray:
    """float32 values clamped to ``bounds``."""
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    return np.where(x > high, high, np.where(x < low, low, x))


def leaky_relu(
    x: np.ndarray,
    *,
    alpha: float,
    scales: tuple[float, float],
    zero_points: tuple[int, int],
) -> np.ndarray:
    """``x`` where it is positive, else ``alpha`` · x; multipliers are made in float32."""
    value = x.astype(np.int64) - zero_points[0]
    identity = _float32(scales[0]) / scales[1]
    slope = _float32(scales[0]) * np.float32(alpha) / _float32(scales[1])
    negative = np.sign(slope) * _rescaled(value, abs(slope))
    return _saturated(np.where(value >= 0, _rescaled(value, identity), negative), x, zero_points)


def leaky_relu_float(x: np.ndarray, *, alpha: float) -> np.ndarray:
    """float32 ``x`` where it is positive, else ``alpha`` · x."""
    return np.where(x > 0, x, x * np.float32(alpha))


def prelu(
    x: np.ndarray,
    alpha: np.ndarray,
    *,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
) -> np.ndarray:
    """As ``leaky_relu`` with a quantised ``alpha`` that is broadcast; (input, alpha, output)."""
    value = x.astype(np.int64) - zero_points[0]
    products = value * (alpha.astype(np.int64) - zero_points[1])
    identity = _float32(scales[0]) / scales[2]
    slope = _float32(scales[0]) * np.float32(scales[1]) / _float32(scales[2])
    result = np.where(value >= 0, _rescaled(value, identity), _rescaled(products, slope))
    return _saturated(result, x, (zero_points[0], zero_points[2]))


def prelu_float(x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """float32 ``x`` where it is not negative, else ``alpha`` · x, broadcast."""
    return np.where(x >= 0, x, x * alpha)


def hard_swish_multipliers(scales: tuple[float, float]) -> list[tuple[int, int]]:
    """16-bit multipliers and exponents: of the output, and of the gate, where 3 is 2^15."""
    fine = np.float32(1 / 128) * _float32(scales[0])
    pairs = []
    for real in (fine / _float32(scales[1]), fine / np.float32(3.0 / 32768)):
        multiplier, exponent = quantize_multiplier(float(real))
        pairs.append((min((multiplier + (1 << 15)) >> 16, 32767), exponent))
    return pairs


def hard_swish(
    x: np.ndarray, *, scales: tuple[float, float], zero_points: tuple[int, int]
) -> np.ndarray:
    """x · clamp(x + 3, 0, 6) / 6 in 16-bit fixed point, for int8 and uint8."""
    (output_multiplier, output_exponent), (gate_multiplier, exponent) = hard_swish_multipliers(
        scales
    )
    fine = (x.astype(np.int64) - zero_points[0]) << 7
    value = _high_product(fine, output_multiplier)
    # All but one bit of a left shift comes before the product: what saturates there, does after.
    gate = _saturated_16(fine << max(exponent - 1, 0))
    gate = _high_product(gate, gate_multiplier)
    gate = _saturated_16(gate << min(max(exponent, 0), 1))
    gate = rounding_divide_by_pot(gate, max(-exponent, 0))
    gate = (gate + (1 << 15)) >> 1
    product = gate * value
    truncated = np.sign(product) * (np.abs(product) >> 15)
    return _saturated(rounding_divide_by_pot(truncated, -output_exponent), x, zero_points)


def hard_swish_float(x: np.ndarray) -> np.ndarray:
    """float32 x · min(6, max(0, x + 3)) / 6, rounded after each step."""
    gate = np.minimum(np.float32(6), np.maximum(np.float32(0), x + np.float32(3)))
    return x * gate / np.float32(6)


def _high_product(a: np.ndarray, b: int) -> np.ndarray:
    """gemmlowp's 16-bit ``SaturatingRoundingDoublingHighMul``: a nudge by sign, truncated."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.minimum(np.sign(nudged) * (np.abs(nudged) >> 15), 32767)


def _saturated_16(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -32768, 32767)


def _float32(value: float) -> np.float32:
    return np.float32(value)


def _rescaled(x: np.ndarray, real: float | np.floating) -> np.ndarray:
    return multiply_by_quantized_multiplier(x, *quantize_multiplier(float(np.float32(real))))


def _saturated(x: np.ndarray, like: np.ndarray, zero_points: tuple[int, int]) -> np.ndarray:
    limits = np.iinfo(like.dtype)
    return np.clip(x + zero_points[1], limits.min, limits.max).astype(like.dtype)


@kernel(*FLOAT_BOUNDS)
def _relu(call: Call) -> np.ndarray:
    if call.output.dtype == "float32":
        return relu_float(call.value(0), bounds=FLOAT_BOUNDS[call.op.kind])
    bounds = call.bounds(call.op.kind)
    return relu(call.value(0), scales=call.scales, zero_points=call.zero_points, bounds=bounds)


@kernel("LEAKY_RELU")
def _leaky_relu(call: Call) -> np.ndarray:
    alpha = call.attribute("alpha")
    if call.output.dtype == "float32":
        return leaky_relu_float(call.value(0), alpha=alpha)
    return leaky_relu(call.value(0), alpha=alpha, scales=call.scales, zero_points=call.zero_points)


@kernel("PRELU")
def _prelu(call: Call) -> np.ndarray:
    if call.output.dtype == "float32":
        return prelu_float(call.value(0), call.value(1))
    x, alpha, out = call.quantization(0), call.quantization(1), quantization(call.output)
    return prelu(
        call.value(0),
        call.value(1),
        scales=(x.scale, alpha.scale, out.scale),
        zero_points=(x.zero_point, alpha.zero_point, out.zero_point),
    )


@kernel("HARD_SWISH")
def _hard_swish(call: Call) -> np.ndarray:
    if call.output.dtype == "float32":
        return hard_swish_float(call.value(0))
    return hard_swish(call.value(0), scales=call.scales, zero_points=call.zero_points)
