"""Normalizations as the ONNX operator specification defines them, in float64: rule ``qdq``.

Source: LayerNormalization (opset 17) in the ONNX operator specification, ``docs/Operators.md``:

    y = (x - mean) / sqrt(variance + epsilon) · Scale + B

with mean and variance (of all values, not of all but one) along the last axis.
InstanceNormalization and GroupNormalization have them over all pixels of a group of channels,
BatchNormalization as constants.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.onnx.float import results_in_float32
from kaniwa.golden.onnx.qdq import output_step, real_operand, register_real
from kaniwa.golden.registry import Call

__all__: list[str] = []


def _normal(call: Call, x: np.ndarray, axes: int | tuple[int, ...]) -> np.ndarray:
    """(x - mean) / sqrt(variance + epsilon) along ``axes``."""
    centered = x - x.mean(axis=axes, keepdims=True)
    variance = np.square(centered).mean(axis=axes, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = centered / np.sqrt(variance + call.attribute("epsilon"))
    if np.isnan(y).any():
        raise OverflowError(f"{call.op.kind} of equal values with epsilon 0 is not a number")
    return np.asarray(y)


@register_real("LAYER_NORM")
def _layer_norm(call: Call) -> np.ndarray:
    y, bias = _normal(call, real_operand(call, 0), -1), call.optional(2)
    y = y * call.value(1).astype(np.float64)
    return (y if bias is None else y + bias.astype(np.float64)) / output_step(call)


@register_real("BATCH_NORM")
def _batch_norm(call: Call) -> np.ndarray:
    """x [N, ..., C] by constants: scale, B, mean and variance of each channel."""
    gain, bias, mean, variance = (call.value(i).astype(np.float64) for i in range(1, 5))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = gain / np.sqrt(variance + call.attribute("epsilon"))
    if not np.isfinite(factor).all():
        raise OverflowError("BATCH_NORM divides by the root of a variance that is not above 0")
    return ((real_operand(call, 0) - mean) * factor + bias) / output_step(call)


@register_real("GROUP_NORM")
def _group_norm(call: Call) -> np.ndarray:
    """x [N, ..., C], whose C channels are so many groups."""
    x, groups = real_operand(call, 0), call.attribute("groups")
    parts = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    gain, bias = (call.value(i).astype(np.float64) for i in (1, 2))
    return (_normal(call, parts, (1, 3)).reshape(x.shape) * gain + bias) / output_step(call)


@register_real("INSTANCE_NORM")
def _instance_norm(call: Call) -> np.ndarray:
    """x [N, C, L], each channel by itself."""
    gain, bias = (call.value(i).astype(np.float64)[:, np.newaxis] for i in (1, 2))
    return (_normal(call, real_operand(call, 0), -1) * gain + bias) / output_step(call)


results_in_float32("BATCH_NORM", "GROUP_NORM")
