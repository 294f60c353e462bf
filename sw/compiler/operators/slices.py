"""Operators that take parts of a tensor, on the accelerator."""

from __future__ import annotations

from kaniwa.compiler.array.moves import moves
from kaniwa.compiler.operators.limits import some_elements
from kaniwa.compiler.operators.movement import as_copies, integers_moved
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def short_cut(graph: Graph, op: Op) -> str | None:
    """It cuts one or two axes, and takes neighbors."""
    return None if moves(graph, op) is not None else (
        "it cuts more than two axes, or leaves elements out between those it takes; slice in two "
        "steps")


_MOVED = (integers_moved, some_elements)

OPERATORS = (
    DeviceOperator("SPLIT", _MOVED, as_copies),
    DeviceOperator("SPLIT_V", _MOVED, as_copies),
    DeviceOperator("SLICE", (*_MOVED, short_cut), as_copies),
    DeviceOperator("STRIDED_SLICE", (*_MOVED, short_cut), as_copies),
)
