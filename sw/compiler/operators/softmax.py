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
from kaniwa.compiler.operators.rewriting import as_it_is
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def short_rows(graph: Graph, op: Op) -> str | None:
    """With a vector unit of R lanes: rows of at most 511 values, and a single one of 32 R."""
    return None      # what R is, ``lower`` knows


def last_axis(graph: Graph, op: Op) -> str | None:
    """It is along the last axis."""
    x = graph.tensors[op.inputs[0]]
    axis = op.attributes.get("axis", len(x.shape) - 1)
    return None if axis == len(x.shape) - 1 else (
        f"it is along axis {axis} of {list(x.shape)}, as it lies in memory; transpose '{x.name}'")


_RULES = ("litert_softmax", "qdq_fixed_point")

OPERATORS = (
    DeviceOperator(
        "SOFTMAX", (bytes_of_one_scale, some_elements,
                    known_rule(*_RULES), last_axis, short_rows),
        as_it_is, (int16_of_one_scale, some_elements, rule_of_int16("litert_softmax_tables")),
        rules=_RULES),
)
