"""Rule ``onnx``: what int8 models have in float32, as ONNX defines it.

QuantizeLinear and DequantizeLinear are exact against ONNX Runtime's float32. Functions, and
operators on quantised numbers whose result stays float32, are computed in float64 and rounded once,
so ONNX Runtime's float32 differs from them in the last bits.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.onnx.qdq import real_values
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


@kernel("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "ADD", "SUB", "MUL",
        "DIV", "AVERAGE_POOL_2D", "MEAN", "LSTM", "GRU", "LAYER_NORM", rule=RULE)
def _result_in_float32(call: Call) -> np.ndarray:
    """The exact value clamped to ``bounds`` and rounded to float32."""
    real = real_values(call.graph, call.op, list(call.values))
    return np.clip(real, *call.attribute("bounds")).astype(np.float32)
