"""Comparisons, and the choice between two tensors."""

from __future__ import annotations

import numpy as np

from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, quantization_of, shape_of

__all__ = ["OPERATORS"]

NUMBERS = {"int8": "litert_comparison", "uint8": "litert_comparison", "int16": "exact",
           "int32": "exact", "int64": "exact", "float32": "exact"}
EQUALITY = {**NUMBERS, "int16": "litert_comparison", "bool": "exact"}


def operands_alike(op: Operands) -> str | None:
    """Both operands have the same dtype; the output is bool."""
    if op.weights.dtype != op.x.dtype:
        return f"'{op.weights.name}' is {op.weights.dtype}, must be {op.x.dtype}"
    return None if op.output.dtype == "bool" else f"output is {op.output.dtype}, must be bool"


def scale_below_one(op: Operands) -> str | None:
    """Quantised operands have one scale, below 1."""
    for tensor in (op.x, op.weights):
        if tensor.dtype in limits.QUANTIZED:
            if tensor.quantization is None or len(tensor.quantization.scales) != 1:
                return f"'{tensor.name}' needs one scale and zero point"
            scale = quantization_of(tensor).scale
            # LiteRT aborts at 1, and its multiplier must not round up to it.
            if scale >= 1 - 2.0**-24:
                return f"'{tensor.name}' has scale {scale:g}, must be below 1"
    return None


def chosen_alike(op: Operands) -> str | None:
    """The condition is bool; both choices and the output have the same dtype."""
    if op.x.dtype != "bool":
        return f"condition '{op.x.name}' is {op.x.dtype}, must be bool"
    for tensor in (op.present(2), op.output):
        if tensor.dtype != op.weights.dtype:
            return f"'{tensor.name}' is {tensor.dtype}, must be {op.weights.dtype}"
    return None


def _selected(op: Operands) -> str | None:
    """SELECT: a condition of the same shape, one value, or one a row; SELECT_V2 broadcasts."""
    shapes = [op.x.shape, op.weights.shape, op.present(2).shape]
    if op.kind == "SELECT":
        rows = len(shapes[0]) == 1 and shapes[0] == shapes[1][:1]
        if shapes[1] != shapes[2] or not (shapes[0] in ((), shapes[1]) or rows):
            return f"{shape_of(op.x)} does not choose between {shape_of(op.weights)}"
        expected = shapes[1]
    else:
        try:
            expected = np.broadcast_shapes(*shapes)
        except ValueError:
            return f"{shape_of(op.x)} and {shape_of(op.weights)} do not broadcast"
    return consistency.output_shape(op.output, expected)


def _comparison(kind: str, rules: dict[str, str]) -> OperatorInfo:
    return OperatorInfo(
        kind, rules,
        consistency=(consistency.operand_count(2, 2), consistency.broadcast_shape),
        limits=(operands_alike, scale_below_one, limits.broadcast_rank))


def _select(kind: str, rules: dict[str, str]) -> OperatorInfo:
    return OperatorInfo(
        kind, rules,
        consistency=(consistency.operand_count(3, 3, optional=3), _selected),
        limits=(chosen_alike, limits.broadcast_rank), decides=1)


_EVERY = dict.fromkeys(("int8", "uint8", "int16", "int32", "int64", "float32", "bool"), "exact")

OPERATORS = (
    _comparison("EQUAL", EQUALITY),
    _comparison("NOT_EQUAL", EQUALITY),
    _comparison("LESS", NUMBERS),
    _comparison("LESS_EQUAL", NUMBERS),
    _comparison("GREATER", NUMBERS),
    _comparison("GREATER_EQUAL", NUMBERS),
    _select("SELECT", _EVERY),
    _select("SELECT_V2", _EVERY),
)
