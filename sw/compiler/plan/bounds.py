"""The range of a type within a fused activation."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["INT8", "activation_bounds"]

INT8 = (-128, 127)


def activation_bounds(activation: str, scale: float, zero_point: int,
                      limits: tuple[int, int] = INT8) -> tuple[int, int]:
    """The range of a fused activation within the type's ``limits``; LiteRT divides its bounds by
    the scale in float32."""
    def quantize(bound: float) -> int:
        with np.errstate(over="ignore"):
            ratio = float(np.float32(bound) / np.float32(scale))
        ratio = min(max(ratio, -1e6), 1e6)      # far beyond the type either way
        return zero_point + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))

    low, high = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0),
                 "RELU_N1_TO_1": (-1.0, 1.0)}[activation]
    return (limits[0] if low is None else max(limits[0], quantize(low)),
            limits[1] if high is None else min(limits[1], quantize(high)))
