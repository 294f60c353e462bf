"""Operators whose results nothing reads any more."""

from __future__ import annotations

from collections.abc import Sequence

from kaniwa.graph import Graph, Op

__all__ = ["without_unread"]


def without_unread(graph: Graph, ops: Sequence[Op]) -> tuple[Op, ...]:
    """Those of ``ops``, in their order, that the outputs and states of ``graph`` hang on."""
    needed = {*graph.outputs, *(state.following for state in graph.state)}
    kept = list[Op]()
    for op in reversed(ops):
        if needed.intersection(op.outputs) or not op.outputs:
            kept.append(op)
            needed.update(op.inputs)
    return tuple(reversed(kept))
