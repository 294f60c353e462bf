"""Tensors that depend on a framework's own runtime: no claim of exactness holds for them."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.graph import Graph
from kaniwa.runtimes import NAMES

__all__ = ["Behind", "behind"]


@dataclass(frozen=True)
class Behind:
    """``tensors`` (ids) depend on ``count`` operators that ``runtime`` does."""

    tensors: frozenset[int]
    count: int
    runtime: str

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {"runtime": self.runtime, "operators": self.count}


def behind(graph: Graph) -> Behind | None:
    """The tensors of ``graph`` that depend on a runtime; None where none does.

    A state that is so makes what reads it so in the next inference.
    """
    own = [op for op in graph.ops if op.rule in NAMES]
    if not own:
        return None
    found = {i for op in own for i in op.outputs}
    before = -1
    while len(found) != before:
        before = len(found)
        found.update(state.tensor for state in graph.state if state.following in found)
        for op in graph.ops:
            if found.intersection(op.inputs):
                found.update(op.outputs)
    return Behind(frozenset(found), len(own), NAMES[own[0].rule])
