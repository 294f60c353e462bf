"""The nodes of a float ONNX graph, by what they make and what they read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Pieces", "names_read", "nodes_read"]


@dataclass(frozen=True)
class Pieces:
    """A graph's nodes by their results, those that read a value, constants, sizes, and outputs."""

    made: dict[str, Any]
    readers: dict[str, list[Any]]
    constants: dict[str, np.ndarray]
    shapes: dict[str, list[int]]
    outputs: set[str]

    @classmethod
    def of(cls, graph: Any) -> Pieces:
        """Those of an ONNX graph."""
        from onnx import numpy_helper

        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        readers: dict[str, list[Any]] = {}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            for name in names_read(node):
                readers.setdefault(name, []).append(node)
        values = (*graph.input, *graph.value_info, *graph.output)
        return cls({name: node for node in graph.node for name in node.output}, readers, constants,
                   {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
                    for value in values}, {output.name for output in graph.output})

    def maker(self, name: str, *kinds: str) -> Any | None:
        """The node of one of these kinds that makes a value."""
        node = self.made.get(name)
        return node if node is not None and node.op_type in kinds else None

    def only_reader(self, name: str) -> Any | None:
        """The node that reads a value once, where nothing else does."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def number(self, name: str) -> float | None:
        """A constant of one element."""
        value = self.constants.get(name)
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def names_read(node: Any) -> Iterator[str]:
    """What a node reads, and what is read in the graphs within it."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                yield from names_read(inner)


def nodes_read(nodes: Iterable[Any], outputs: Iterable[str]) -> list[Any]:
    """The nodes, in their order, of which some output is made."""
    kept, wanted = [], set(outputs)
    for node in reversed([*nodes]):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(names_read(node))
    return kept[::-1]
