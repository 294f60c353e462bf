"""Recurrent cells that run several sequences at once, as a cell for each, of the same weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.compiler.operators.recurrent import int8_cell, plain_cell
from kaniwa.config import AcceleratorConfig
from kaniwa.golden.tflite.recurrent import CELL_STATE, HIDDEN_STATE
from kaniwa.graph import Graph, Op, State, Tensor

__all__ = ["sequences_apart"]

KIND = "UNIDIRECTIONAL_SEQUENCE_LSTM"
STATES = (HIDDEN_STATE, CELL_STATE)      # the positions of what the second and third result follow


def sequences_apart(graph: Graph, config: AcceleratorConfig) -> Graph:
    """The model with a cell for each sequence of a batch, where the target has such cells.

    The input is split, and the results joined; each sequence has variables of its own.
    """
    if not config.vector_unit:
        return graph
    apart = _Apart(graph)
    for op in graph.ops:
        if op.kind == KIND and apart.batch(op) > 1 and apart.may_be_split(op):
            apart.split(op)
        else:
            apart.ops.append(op)
    return replace(graph, tensors=tuple(apart.tensors), ops=tuple(apart.ops),
                   state=tuple(apart.state))


class _Apart:
    """The graph as it is rewritten."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.tensors, self.ops, self.state = list(graph.tensors), list[Op](), list(graph.state)

    def batch(self, op: Op) -> int:
        """Number of sequences that the operator runs."""
        return self.tensors[op.inputs[HIDDEN_STATE]].shape[0]

    def may_be_split(self, op: Op) -> bool:
        """True where the accelerator has such a cell, and nothing else reads its state."""
        own = {op.inputs[i] for i in STATES}, set(op.outputs[1:])
        read = [i for other in self._graph.ops if other is not op for i in other.inputs]
        return (int8_cell(self._graph, op) is None and plain_cell(self._graph, op) is None
                and own[0].union(own[1]).isdisjoint((*read, *self._graph.outputs))
                and own[1] == {s.following for s in self.state if s.tensor in own[0]})

    def split(self, op: Op) -> None:
        """A SPLIT, a cell for each sequence, a CONCATENATION."""
        batch, axis = self.batch(op), 1 if op.attributes["time_major"] else 0
        sources = self._parts(op.inputs[0], batch, axis)
        states = [self._parts(op.inputs[i], batch, 0) for i in STATES]
        results = [self._parts(op.outputs[0], batch, axis),
                   *(self._parts(i, batch, 0) for i in op.outputs[1:])]
        self.ops.append(replace(op, kind="SPLIT", inputs=op.inputs[:1], outputs=tuple(sources),
                                attributes={"axis": axis}, rule="exact"))
        for number in range(batch):
            inputs = list(op.inputs)
            inputs[0] = sources[number]
            for position, own in zip(STATES, states, strict=True):
                inputs[position] = own[number]
            self.ops.append(replace(op, inputs=tuple(inputs),
                                    outputs=tuple(own[number] for own in results)))
        self.ops.append(replace(op, kind="CONCATENATION", inputs=tuple(results[0]),
                                outputs=op.outputs[:1], attributes={"axis": axis},
                                rule="exact"))
        for position, tensors, following in zip(STATES, states, results[1:], strict=True):
            whole = next(s for s in self.state if s.tensor == op.inputs[position])
            self.state.remove(whole)
            self.state += [State(now, after, np.ascontiguousarray(initial)) for now, after, initial
                           in zip(tensors, following, np.split(whole.initial, batch), strict=True)]

    def _parts(self, tensor_id: int, batch: int, axis: int) -> list[int]:
        """New tensors, one of each sequence."""
        whole = self.tensors[tensor_id]
        shape = tuple(1 if n == axis else size for n, size in enumerate(whole.shape))
        parts = [Tensor(len(self.tensors) + number, f"{whole.name}:{number}", shape, whole.dtype,
                        whole.quantization) for number in range(batch)]
        self.tensors += parts
        return [part.id for part in parts]
