"""Rule ``onnx``: operators as ONNX defines them, for what the host does round an int8 model.

float32 heads and tails, and movement of any dtype. QuantizeLinear and DequantizeLinear are exact
against ONNX Runtime's float32; what needs exp or a sum in float32 is computed in float64 and
rounded once, so ONNX Runtime's float32 differs from it in the last bits.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.registry import Call, kernel, quantization

__all__ = ["RULE"]

RULE = "onnx"


@kernel("QUANTIZE", rule=RULE)
def _quantize(call: Call) -> np.ndarray:
    """float32 divided by the float32 scale, half to even, zero point, clamp."""
    q, (low, high) = quantization(call.output), call.attribute("bounds")
    with np.errstate(over="ignore"):
        steps = np.rint(call.value(0) / np.float32(q.scale))
    # A number that is none becomes the zero point; infinities saturate.
    steps = np.clip(np.nan_to_num(steps, nan=0.0, posinf=2.0**31, neginf=-(2.0**31)),
                    -(2.0**31), 2.0**31)
    return np.clip(steps.astype(np.int64) + q.zero_point, low, high).astype(call.output.dtype)


@kernel("DEQUANTIZE", rule=RULE)
def _dequantize(call: Call) -> np.ndarray:
    q = call.quantization(0)
    centered = (call.value(0).astype(np.int64) - q.zero_point).astype(np.float32)
    return np.asarray(centered * np.float32(q.scale))


@kernel("SOFTMAX", rule=RULE)
def _softmax(call: Call) -> np.ndarray:
    x, axis = call.value(0).astype(np.float64), call.attribute("axis")
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return (powers / powers.sum(axis=axis, keepdims=True)).astype(np.float32)


@kernel("TRANSPOSE", rule=RULE)
def _transpose(call: Call) -> np.ndarray:
    return np.ascontiguousarray(call.value(0).transpose(call.attribute("permutation")))


@kernel("CONCATENATION", rule=RULE)
def _concatenate(call: Call) -> np.ndarray:
    return np.concatenate([call.value(i) for i in range(len(call.op.inputs))],
                          axis=call.attribute("axis"))
