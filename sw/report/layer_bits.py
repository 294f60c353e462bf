"""Bits a weight of a program's layers, by cause."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kaniwa.graph import Graph
from kaniwa.program.program import Program
from kaniwa.report.accesses import accesses
from kaniwa.report.weight_bytes import CAUSES, weight_bytes

__all__ = ["layer_bits"]


def layer_bits(program: Program, graph: Graph) -> list[dict[str, Any]]:
    """A row for each layer with constants, and one for all: its weights, its bytes by cause, and
    the bits a weight that these are; None where there are no weights.

    A constant that several layers read counts for the first one. Layers that do the same for the
    same operators, as those of channel parts, have one row. The bytes of all add up to
    ``program.weight_bytes``, the weights to ``program.weights``.
    """
    total, of_layers = weight_bytes(program, accesses(program))
    counts = _weights(program, graph)
    groups: dict[object, list[int]] = {}
    for number, layer in enumerate(program.layers):
        groups.setdefault((layer.source or number, layer.op), []).append(number)
    rows = [_row(_name([program.layers[i].name for i in group]), program.layers[group[0]].op,
                 sum(counts[i] for i in group), sum((of_layers[i] for i in group), Counter()))
            for group in groups.values()]
    return [*(row for row in rows if row["weights"] or row["bytes"]),
            _row("all", "", program.weights, total)]


def _name(names: list[str]) -> str:
    """The name that layers share: that of their operator, before the number of a channel part."""
    first, *others = names
    return first.rpartition(":")[0] if any(name != first for name in others) else first


def _row(name: str, op: str, weights: int, found: dict[str, int]) -> dict[str, Any]:
    size = {cause: found[cause] for cause in CAUSES if found.get(cause)}
    return {"name": name, "op": op, "weights": weights, "bytes": size,
            "bits": 8 * sum(size.values()) / weights if weights else None}


def _weights(program: Program, graph: Graph) -> list[int]:
    """Weights of the model of each layer; those that several use are the first one's."""
    counted: set[int] = set()
    counts = []
    for layer in program.layers:
        used = {i for op in graph.ops if op.source_index in layer.source for i in op.inputs}
        counts.append(sum(data.size for i in used - counted
                          if (data := graph.tensors[i].data) is not None
                          and graph.tensors[i].dtype in ("int8", "uint8")))
        counted |= used
    return counts
