"""Rule ``onnx``: what int8 models have in float32, as ONNX defines it.

QuantizeLinear and DequantizeLinear are exact against ONNX Runtime's float32. Functions, and
operators on quantised numbers whose result stays float32, are computed in float64 and rounded once,
so ONNX Runtime's float32 differs from them in the last bits.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.onnx.qdq import real_values
from kaniwa.golden.registry import Call, kernel, quantization

__all__ = ["RULE", "results_in_float32"]

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


@kernel("ARG_MAX", "ARG_MIN", rule=RULE)
def _last_position(call: Call) -> np.ndarray:
    """Of the last one of equal values: select_last_index."""
    axis = call.attribute("axis")
    x = np.flip(call.value(0), axis)
    found = x.argmax(axis=axis) if call.op.kind == "ARG_MAX" else x.argmin(axis=axis)
    return np.asarray(x.shape[axis] - 1 - found)


@kernel("TOPK", rule=RULE)
def _top(call: Call) -> tuple[np.ndarray, ...]:
    """Values in order, and their positions; of equal ones the first comes first."""
    x, axis = call.value(0), call.attribute("axis")
    # In float64 every integer and float32 has its negative.
    key = x.astype(np.float64) * (-1 if call.attribute("largest") else 1)
    order = np.argsort(key, axis=axis, kind="stable").take(
        range(call.output.shape[axis]), axis=axis)
    return np.take_along_axis(x, order, axis=axis), order.astype(np.int64)


@kernel("DYNAMIC_QUANTIZE", rule=RULE)
def _dynamic_quantize(call: Call) -> tuple[np.ndarray, ...]:
    """Bytes, scale and zero point of float32 numbers, whose range has 0 in it."""
    x = call.value(0)
    low, high = np.minimum(x.min(), np.float32(0)), np.maximum(x.max(), np.float32(0))
    with np.errstate(all="ignore"):
        scale = (high - low) / np.float32(255)
        scale = np.float32(1) if scale == 0 else scale
        zero = np.rint(np.clip(-low / scale, np.float32(0), np.float32(255)))
        steps = np.clip(np.rint(x / scale) + zero, 0, 255)
    if not np.isfinite(steps).all():
        raise OverflowError("its range is not finite")
    return steps.astype(np.uint8), np.array(scale, np.float32), np.array(zero, np.uint8)


def results_in_float32(*kinds: str) -> None:
    """Register these operators, which have a rule ``qdq``, with a result that stays float32."""
    kernel(*kinds, rule=RULE)(_result_in_float32)


def _result_in_float32(call: Call) -> np.ndarray:
    """The exact value clamped to ``bounds`` and rounded to float32."""
    real = real_values(call.graph, call.op, list(call.values))
    return np.clip(real, *call.attribute("bounds")).astype(np.float32)


results_in_float32(
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "ADD",
    "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "AVERAGE_POOL_2D", "MEAN", "SUM", "LSTM", "GRU",
    "RNN", "LAYER_NORM", "PRELU", "PADV2", "LP_POOL_2D", "EINSUM")
