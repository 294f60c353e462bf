"""LSTM and GRU of ONNX models: a forward cell for each sequence and direction, with all results
that are in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kaniwa.compiler.recurrent.onnx_cells import KINDS
from kaniwa.config import AcceleratorConfig
from kaniwa.golden.onnx.recurrent import STATES
from kaniwa.golden.onnx.recurrent_fixed import RULE
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["directions_apart"]


def directions_apart(graph: Graph, config: AcceleratorConfig) -> Graph:
    """The model with a cell for each direction and sequence, but one for several results, where the
    target has such cells."""
    if not config.vector_unit:
        return graph
    apart = _Apart(graph)
    for op in _together(graph.ops):
        if _is_cell(op) and not apart.is_simple(op):
            apart.split(op)
        else:
            apart.ops.append(op)
    return replace(graph, tensors=tuple(apart.tensors), ops=tuple(apart.ops))


def _is_cell(op: Op) -> bool:
    return op.kind in KINDS and op.rule == RULE


def _together(ops: Sequence[Op]) -> list[Op]:
    """Cells that differ in their results alone are one, where the first of them was: what gives all
    steps, if one does, and ``more`` that are of the last one."""
    cells: dict[object, list[Op]] = {}
    for op in filter(_is_cell, ops):
        cells.setdefault((op.kind, op.inputs), []).append(op)
    made = list[Op]()
    for op in ops:
        group = cells[op.kind, op.inputs] if _is_cell(op) else [op]
        if len({o.attributes.get("result") for o in group}) < len(group):
            made.append(op)      # one of them twice, in other steps
        elif op is group[0]:
            first, *more = sorted(group, key=lambda o: str(o.attributes.get("result")))
            made.append(first if not more else replace(
                first, outputs=tuple(o.outputs[0] for o in (first, *more)),
                attributes={**first.attributes, "more": tuple(
                    (o.attributes["result"], o.attributes["bounds"]) for o in more)}))
    return made


class _Apart:
    """The graph as it is rewritten."""

    def __init__(self, graph: Graph) -> None:
        self.tensors, self.ops = list(graph.tensors), list[Op]()

    def is_simple(self, op: Op) -> bool:
        """True for one sequence, forward."""
        return (op.attributes["backwards"] == (False,)
                and self.tensors[op.inputs[0]].shape[1] == 1)

    def split(self, op: Op) -> None:
        """The parts of its input, reversed for what runs backwards; the cells; their results."""
        backwards = op.attributes["backwards"]
        assert isinstance(backwards, tuple)
        sources = self._sequences(op)
        forms = {False: sources, True: [self._reversed(op, i) for i in sources]
                 if any(backwards) else []}
        cells = [[self._cell(op, source, number, sequence)
                  for sequence, source in enumerate(forms[back])]
                 for number, back in enumerate(backwards)]
        for number, output in enumerate(op.outputs):
            # [T, D, B, H], or the last state, [D, B, H].
            axis = 0 if number or op.attributes["result"] != "Y" else 1
            directions = [self._joined(op, [
                self._reversed(op, results[number]) if back and axis else results[number]
                for results in sequences], axis + 1)
                for sequences, back in zip(cells, backwards, strict=True)]
            made, y = self._joined(op, directions, axis), self.tensors[output]
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

    def _cell(self, op: Op, source: int, direction: int, sequence: int) -> tuple[int, ...]:
        """Its results [T, 1, 1, H], or [1, 1, H]."""
        inputs = [source]
        for position, i in enumerate(op.inputs[1:], 1):
            # The first states are [D, B, H].
            begin = (direction, sequence) if position in STATES else (direction,)
            inputs.append(-1 if i == -1 else self._part(op, i, begin))
        made = []
        for number, output in enumerate(op.outputs):
            y, every = self.tensors[output], not number and op.attributes["result"] == "Y"
            steps = (self.tensors[source].shape[0],) if every else ()
            made.append(self._tensor(f"{y.name}:{direction}.{sequence}",
                                     (*steps, 1, 1, y.shape[-1]), y))
        self.ops.append(replace(op, inputs=tuple(inputs), outputs=tuple(made),
                                attributes={**op.attributes, "backwards": (False,)}))
        return tuple(made)

    def _part(self, op: Op, operand: int, begin: tuple[int, ...]) -> int:
        """One of the operand along its first axes."""
        tensor = self.tensors[operand]
        rest = tensor.shape[len(begin):]
        shape = (*(1 for _ in begin), *rest)
        if shape == tensor.shape:
            return operand
        if tensor.data is None:
            first, end = (*begin, *(0 for _ in rest)), (*(n + 1 for n in begin), *rest)
            return self._emit(op, "SLICE", (operand,), {
                "begin": first, "end": end, "stride": (1,) * len(end)}, shape, tensor)
        data = np.ascontiguousarray(tensor.data[begin].reshape(shape))
        return self._tensor(f"{tensor.name}:{'.'.join(map(str, begin))}", shape, tensor, data)

    def _reversed(self, op: Op, source: int) -> int:
        tensor = self.tensors[source]
        return self._emit(op, "REVERSE_V2", (source,), {"axes": (0,)}, tensor.shape, tensor)

    def _joined(self, op: Op, sources: Sequence[int], axis: int) -> int:
        """Along an axis."""
        if len(sources) == 1:
            return sources[0]
        first = self.tensors[sources[0]]
        shape = tuple(len(sources) * size if n == axis else size
                      for n, size in enumerate(first.shape))
        return self._emit(op, "CONCATENATION", tuple(sources), {"axis": axis}, shape, first)

    def _emit(self, op: Op, kind: str, inputs: tuple[int, ...], attributes: Mapping[str, object],
              shape: tuple[int, ...], like: Tensor, output: int | None = None) -> int:
        made = output
        if made is None:
            made = self._tensor(f"{like.name}:{len(self.tensors)}", shape, like)
        self.ops.append(replace(op, kind=kind, inputs=inputs, outputs=(made,),
                                attributes=attributes, rule="exact"))
        return made

    def _tensor(self, name: str, shape: tuple[int, ...], like: Tensor,
                data: np.ndarray | None = None) -> int:
        """A new tensor of the dtype and the steps of ``like``."""
        made = Tensor(len(self.tensors), name, shape, like.dtype, like.quantization, data)
        self.tensors.append(made)
        return made.id
