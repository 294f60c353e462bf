"""RELU and RELU6 as LiteRT's int8 reference kernels define them."""

from __future__ import annotations

import numpy as np

from kaniwa.golden.registry import Call, kernel, quantization
from kaniwa.golden.rounding import multiply_by_quantized_multiplier, quantize_multiplier

__all__ = ["relu"]


def relu(
    x: np.ndarray,
    *,
    scales: tuple[float, float],
    zero_points: tuple[int, int],
    bounds: tuple[int, int],
) -> np.ndarray:
    """A stand-alone clamp with requantization; scales and zero points are (in, out).

    ``activations.cc`` divides the two float32 scales in float32 before it widens the quotient.
    """
    multiplier, shift = quantize_multiplier(float(np.float32(scales[0]) / np.float32(scales[1])))
    scaled = multiply_by_quantized_multiplier(
        x.astype(np.int64) - zero_points[0], multiplier, shift
    )
    return np.clip(scaled + zero_points[1], *bounds).astype(np.int8)


@kernel("RELU", "RELU6")
def _relu(call: Call) -> np.ndarray:
    x, out = call.quantization(0), quantization(call.output)
    return relu(
        call.value(0),
        scales=(x.scale, out.scale),
        zero_points=(x.zero_point, out.zero_point),
        bounds=call.bounds(call.op.kind),
    )
