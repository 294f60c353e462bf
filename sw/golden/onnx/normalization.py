"""LayerNormalization as the ONNX operator specification defines it, in float64: rule ``qdq``.

Source: LayerNormalization (opset 17) in the ONNX operator specification, ``docs/Operators.md``:

    y = (x - mean) / sqrt(variance + epsilon) · Scale + B

with mean and variance (of all values, not of all but one) along the last axis.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.onnx.qdq import output_step, real_operand, register_real
from kaniwa.golden.registry import Call

__all__: list[str] = []


@register_real("LAYER_NORM")
def _layer_norm(call: Call) -> np.ndarray:
    x = real_operand(call, 0)
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centered).mean(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = centered / np.sqrt(variance + call.attribute("epsilon"))
    if np.isnan(y).any():
        raise OverflowError("LAYER_NORM of equal values with epsilon 0 is not a number")
    bias = call.optional(2)
    y = y * call.value(1).astype(np.float64)
    return (y if bias is None else y + bias.astype(np.float64)) / output_step(call)
