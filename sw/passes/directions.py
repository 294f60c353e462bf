"""LSTM and GRU of ONNX models that run several sequences, backwards or both ways: as a forward cell
for each sequence and direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.golden.onnx_recurrent_fixed import RULE
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.passes.onnx_cells import KINDS

__all__ = ["directions_apart"]


def directions_apart(graph: Graph, config: AcceleratorConfig) -> Graph:
    """The model with a cell for each direction and sequence, and all of its steps, where the target
    has such cells."""
    if not config.vector_unit:
        return graph
    apart = _Apart(graph)
    for op in graph.ops:
        if op.kind in KINDS and op.rule == RULE and not apart.is_simple(op):
            apart.split(op)
        else:
            apart.ops.append(op)
    return replace(graph, tensors=tuple(apart.tensors), ops=tuple(apart.ops))


class _Apart:
    """The graph as it is rewritten."""

    def __init__(self, graph: Graph) -> None:
        self.tensors, self.ops = list(graph.tensors), list[Op]()

    def is_simple(self, op: Op) -> bool:
        """Whether it is one sequence, forward, whose steps are all wanted."""
        return (op.attributes["backwards"] == (False,) and op.attributes["result"] == "Y"
                and self.tensors[op.inputs[0]].shape[1] == 1)

    def split(self, op: Op) -> None:
        """The parts of its input, reversed for what runs backwards; the cells; their results."""
        backwards, y = op.attributes["backwards"], self.tensors[op.outputs[0]]
        assert isinstance(backwards, tuple)
        sources = self._sequences(op)
        forms = {False: sources, True: [self._reversed(op, i) for i in sources]
                 if any(backwards) else []}
        whole = op.attributes["result"] == "Y"
        directions = []
        for number, back in enumerate(backwards):
            results = []
            for sequence, source in enumerate(forms[back]):
                made = self._cell(op, source, number, sequence)
                if not whole:
                    made = self._last(op, made)
                elif back:
                    made = self._reversed(op, made)
                results.append(made)
            directions.append(self._joined(op, results, 2))
        made = self._joined(op, directions, 1)
        self._emit(op, "RESHAPE", (made,), {"shape": y.shape}, y.shape, y, y.id)

    def _sequences(self, op: Op) -> list[int]:
        x = self.tensors[op.inputs[0]]
        steps, batch, features = x.shape
        if batch == 1:
            return [x.id]
        parts = [self._tensor(f"{x.name}:{n}", (steps, 1, features), x) for n in range(batch)]
        self.ops.append(replace(op, kind="SPLIT", inputs=(x.id,), outputs=tuple(parts),
                                attributes={"axis": 1}, rule="exact"))
        return parts

    def _cell(self, op: Op, source: int, direction: int, sequence: int) -> int:
        """Its result [T, 1, 1, H]."""
        inputs, y = [source], self.tensors[op.outputs[0]]
        for position, i in enumerate(op.inputs[1:], 1):
            data = None if i == -1 else self.tensors[i].data
            if data is None:
                inputs.append(-1)
                continue
            part = data[direction:direction + 1]
            if position > 3:      # the first states
                part = part[:, sequence:sequence + 1]
            inputs.append(i if part.shape == data.shape else self._tensor(
                f"{self.tensors[i].name}:{direction}", part.shape, self.tensors[i],
                np.ascontiguousarray(part)))
        shape = (self.tensors[source].shape[0], 1, 1, y.shape[-1])
        return self._emit(op, op.kind, tuple(inputs), {
            **op.attributes, "backwards": (False,), "result": "Y"}, shape, y, rule=op.rule)

    def _last(self, op: Op, source: int) -> int:
        steps, *shape = self.tensors[source].shape
        attributes = {"begin": (steps - 1, 0, 0, 0), "end": (steps, *shape), "stride": (1,) * 4}
        return self._emit(op, "SLICE", (source,), attributes, (1, *shape), self.tensors[source])

    def _reversed(self, op: Op, source: int) -> int:
        tensor = self.tensors[source]
        return self._emit(op, "REVERSE_V2", (source,), {"axes": (0,)}, tensor.shape, tensor)

    def _joined(self, op: Op, sources: Sequence[int], axis: int) -> int:
        """Of [T, D, B, H] along an axis."""
        if len(sources) == 1:
            return sources[0]
        first = self.tensors[sources[0]]
        shape = tuple(len(sources) * size if n == axis else size
                      for n, size in enumerate(first.shape))
        return self._emit(op, "CONCATENATION", tuple(sources), {"axis": axis}, shape, first)

    def _emit(self, op: Op, kind: str, inputs: tuple[int, ...], attributes: Mapping[str, object],
              shape: tuple[int, ...], like: Tensor, output: int | None = None,
              rule: str = "exact") -> int:
        made = output
        if made is None:
            made = self._tensor(f"{like.name}:{len(self.tensors)}", shape, like)
        self.ops.append(replace(op, kind=kind, inputs=inputs, outputs=(made,),
                                attributes=attributes, rule=rule))
        return made

    def _tensor(self, name: str, shape: tuple[int, ...], like: Tensor,
                data: np.ndarray | None = None) -> int:
        """A new tensor of the dtype and the steps of ``like``."""
        made = Tensor(len(self.tensors), name, shape, like.dtype, like.quantization, data)
        self.tensors.append(made)
        return made.id
