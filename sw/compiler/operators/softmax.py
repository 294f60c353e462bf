"""Softmax on the accelerator."""

from __future__ import annotations

from kaniwa.compiler.operators.limits import (
    bytes_of_one_scale,
    int16_of_one_scale,
    known_rule,
    rule_of_int16,
    some_elements,
)
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import as_it_is, moved, with_axis_last
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def short_rows(graph: Graph, op: Op) -> str | None:
    """Rows have at most 511 values by LiteRT's rule, 16,384 by that of ONNX, or 480 if a Clip
    follows; a single row is then of at most 448 R for a vector unit of R lanes."""
    return None      # what the unit's lanes are, ``lower`` knows


def _softmax(rewriter: Rewriter, op: Op) -> None:
    """Rows lie along the last axis: along another one it is exchanged with what is behind it."""
    x, y = (rewriter.tensors[i] for i in (op.inputs[0], op.outputs[0]))
    axis = int(str(op.attributes.get("axis", len(x.shape) - 1)))
    if axis == len(x.shape) - 1:
        as_it_is(rewriter, op)
        return
    rows = with_axis_last(rewriter, op, x.id, axis)
    outer, inner, length = shape = rewriter.tensors[rows].shape
    made = rewriter.tensor(f"{y.name}:rows", shape, y)
    rewriter.emit(op, "SOFTMAX", (rows,), {**op.attributes, "axis": 2, "taps": 0}, made)
    moved(rewriter, op, made, (outer, inner, length, 1), y.id)


_RULES = ("litert_softmax", "qdq_fixed_point")

OPERATORS = (
    DeviceOperator(
        "SOFTMAX", (bytes_of_one_scale, some_elements, known_rule(*_RULES), short_rows), _softmax,
        (int16_of_one_scale, some_elements, rule_of_int16("litert_softmax_tables")), as_it_is,
        rules=_RULES),
)
