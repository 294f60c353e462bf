"""Inputs that are indices: of how many rows, as far as the graph says so.

Embeddings take rows of a table by such inputs, and frameworks refuse rows that a table has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kaniwa.graph import Graph, Op
from kaniwa.runtimes.onnx_node import parsed

__all__ = ["row_counts", "within_tables"]

INTEGERS = ("int32", "int64")
# Positions of indices and of their table, by operator: of both frameworks.
TABLES: Mapping[str, Mapping[int, int]] = {
    "GATHER": {1: 0}, "GATHER_ND": {1: 0}, "EMBEDDING_LOOKUP": {0: 1}, "Gather": {1: 0},
    "GatherElements": {1: 0}, "GatherND": {1: 0}, "ScatterElements": {1: 0}, "ScatterND": {1: 0},
    "EmbedLayerNormalization": {0: 2, 1: 4}}
SEVERAL = ("GATHER_ND", "GatherND", "ScatterND")      # an index for each of several dimensions
# Operators that give numbers of these operands as they are.
MOVES = frozenset((
    "BROADCAST_TO", "CAST", "CONCATENATION", "EXPAND_DIMS", "GATHER", "GATHER_ND", "PACK",
    "RESHAPE", "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE",
    "UNPACK", "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND",
    "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"))


def within_tables(graph: Graph, samples: Sequence[Mapping[str, np.ndarray]]
                  ) -> list[dict[str, np.ndarray]]:
    """The ``samples`` with inputs that are indices within the rows of their tables."""
    names = {graph.tensors[i].name: rows for i, rows in row_counts(graph).items()}
    return [{name: np.asarray(value % names[name], value.dtype) if name in names else value
             for name, value in sample.items()} for sample in samples]


def row_counts(graph: Graph) -> dict[int, int]:
    """By input: the rows of the smallest table that its numbers are indices of."""
    found = {}
    for i in graph.inputs:
        if graph.tensors[i].dtype in INTEGERS:
            rows = list(_rows_read(graph, i))
            if rows:
                found[i] = min(rows)
    return found


def _rows_read(graph: Graph, tensor_id: int) -> Iterator[int]:
    """The rows of each table whose indices are numbers of this tensor."""
    waiting, seen = [tensor_id], {tensor_id}
    while waiting:
        index = waiting.pop()
        for op in graph.consumers(index):
            for position, operand in enumerate(op.inputs):
                table = TABLES.get(op.kind, {}).get(position, len(op.inputs))
                if operand == index and table < len(op.inputs) and op.inputs[table] != -1:
                    yield _rows(graph, op, position)
                elif operand == index and op.kind in MOVES:
                    waiting += [i for i in op.outputs if i not in seen]
                    seen.update(op.outputs)


def _rows(graph: Graph, op: Op, position: int) -> int:
    """The rows of the table that the operand at this position has indices of."""
    table = graph.tensors[op.inputs[TABLES[op.kind][position]]].shape
    if op.kind in SEVERAL:
        count = graph.tensors[op.inputs[position]].shape[-1]
        return min(table[:count + _number(op, "batch_dims")])
    return table[_number(op, "axis")]


def _number(op: Op, name: str) -> int:
    """An attribute of an operator, 0 where it has none."""
    text = op.attributes.get("node")
    value: object = op.attributes.get(name, 0)
    if isinstance(text, str):
        value = next((a.i for a in parsed(text).attribute if a.name == name), 0)
    assert isinstance(value, int)
    return value
