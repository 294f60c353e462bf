"""Limits of operators with weights and a bias."""

from __future__ import annotations

from kaniwa.importers import limits
from kaniwa.importers.operands import Operands

__all__ = ["WEIGHTED"]


def constant_int8_weights(op: Operands) -> str | None:
    """Weights are constant int8."""
    if op.weights.data is None:
        return f"weights '{op.weights.name}' are computed, must be constant"
    return None if op.weights.dtype == "int8" else f"weights are {op.weights.dtype}, must be int8"


def symmetric_weights(op: Operands) -> str | None:
    """Weights have zero_point 0 and one scale, or one an output channel."""
    q, axis = op.weights.quantization, 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
    if q is None:
        return f"weights '{op.weights.name}' have no scale"
    form = "per-channel" if len(q.scales) > 1 else "per-tensor"
    wrong = [z for z in q.zero_points if z != 0]
    if wrong:
        return f"{form} weights need zero_point 0, not {wrong[0]}"
    return (
        None
        if len(q.scales) == 1 or q.axis == axis
        else (f"per-channel weights need quantized_dimension {axis}, not {q.axis}")
    )


def constant_int32_bias(op: Operands) -> str | None:
    """The bias, if any, is constant int32 with zero point 0."""
    if op.bias is None:
        return None
    if op.bias.data is None:
        return f"bias '{op.bias.name}' is computed, must be constant"
    if op.bias.dtype != "int32":
        return f"bias '{op.bias.name}' is {op.bias.dtype}, must be int32"
    q = op.bias.quantization
    wrong = [] if q is None else [z for z in q.zero_points if z != 0]
    return f"bias '{op.bias.name}' needs zero_point 0, not {wrong[0]}" if wrong else None


WEIGHTED = (
    limits.one_dtype(0),
    limits.quantized(0),
    constant_int8_weights,
    symmetric_weights,
    constant_int32_bias,
    limits.known_activation,
    limits.activation_in_range,
)
