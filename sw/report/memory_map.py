"""Contents of device memory over time: rectangles of addresses and layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kaniwa.isa import OUTSIDE
from kaniwa.program.program import Program, TensorInfo
from kaniwa.report.accesses import Access
from kaniwa.report.flow import Row

__all__ = ["memory_map"]


def memory_map(program: Program, rows: Sequence[Row], found: Sequence[Access]) -> list[
        dict[str, Any]]:
    """What lies where, and from which row to which (both included) it is needed.

    ``kind``: commands or constants, there from first to last; input, output, intermediate or host:
    tensors of the model, by ``TensorInfo.kind``; temporary: results of the compiler's own.
    """
    end = len(rows) - 1
    spans = [_rectangle("commands" if program.is_code(address) else "constants",
                        "commands" if program.is_code(address) else "weights, "
                        "parameters, tables", address, size, (0, end))
             for address, size in _joined(program)]
    table = _Lifetimes(program, rows, found)
    spans += [_rectangle(tensor.kind, tensor.name, tensor.address, tensor.bytes,
                         table.of(tensor))
              for tensor in program.tensors if tensor.address is not None and tensor.bytes]
    return spans + table.temporaries()


def _rectangle(kind: str, name: str, address: int, size: int, rows: tuple[int, int]) -> dict[
        str, Any]:
    return {"kind": kind, "name": name, "address": address & ~OUTSIDE, "bytes": size,
            "outside": bool(address & OUTSIDE), "first": rows[0], "last": max(rows)}


def _joined(program: Program) -> list[tuple[int, int]]:
    """(address, bytes) of the program's images: those side by side as one, but the commands."""
    joined: list[tuple[int, int]] = []
    for address, data in program.images:
        gap = address - sum(joined[-1]) if joined else None
        if gap is not None and 0 <= gap < program.config.read_bytes and (
                not program.is_code(address) and not program.is_code(joined[-1][0])):
            joined[-1] = joined[-1][0], address + len(data) - joined[-1][0]
        else:
            joined.append((address, len(data)))
    return joined


class _Lifetimes:
    """From which row to which memory is needed."""

    def __init__(self, program: Program, rows: Sequence[Row], found: Sequence[Access]) -> None:
        self._program, self._rows = program, rows
        self._place = {row.position: place for place, row in enumerate(rows)
                       if program.steps[row.step].where == "device"}
        self._maker = {layer.output: self._place[i] for i, layer in enumerate(program.layers)
                       if i in self._place}
        # The first row that works once an instruction is done.
        self._of_instruction = {index: self._place[i] for i, layer in enumerate(program.layers)
                                for index in layer.instructions if i in self._place}
        self._reads = np.array(
            [(a.address, a.end, a.instruction, self._place[a.layer]) for a in found
             if a.kind in ("input", "operand") and a.layer in self._place],
            np.int64).reshape(-1, 4)
        self._writes = [a for a in found if a.kind == "output"]
        self._readers = self._readers_by_model()
        self._given = {i: self._behind(number) for number, step in enumerate(program.steps)
                       if step.where == "device" for i in step.gives}
        self._taken = {i: self._begin(number) for number, step in enumerate(program.steps)
                       if step.where == "device" for i in step.takes}
        self._kept = {i for state in program.state for i in (state.tensor, state.following)}

    def of(self, tensor: TensorInfo) -> tuple[int, int]:
        """The first and the last row that need the tensor in device memory."""
        first = self._maker.get(tensor.id, self._taken.get(tensor.id))
        if first is None:
            first = self._of_instruction.get(tensor.ready, 0)
        last = [first, self._given.get(tensor.id, first)]
        assert tensor.address is not None
        if tensor.id in self._readers:
            last += self._readers[tensor.id]
        else:
            last += self._reading(tensor.address, tensor.bytes, tensor.ready, tensor.overwritten)
        if tensor.id in self._kept:
            return 0, len(self._rows) - 1
        return first, max(last)

    def temporaries(self) -> list[dict[str, Any]]:
        """What layers write that belongs to no tensor of the model."""
        known = np.array([(t.address, t.address + t.bytes) for t in self._program.tensors
                          if t.address is not None], np.int64).reshape(-1, 2)
        found = []
        for write in self._writes:
            place = self._place.get(write.layer)
            if place is None or ((known[:, 0] <= write.address)
                                 & (write.end <= known[:, 1])).any():
                continue
            readers = self._reading(write.address, write.span, write.instruction, None)
            found.append(_rectangle(
                "temporary", self._program.layers[write.layer].name, write.address, write.span,
                (place, min(readers, default=place))))
        return found

    def _reading(self, address: int, size: int, after: int, until: int | None) -> list[int]:
        """The rows of the instructions behind ``after`` that read of this memory."""
        start, end, instruction, place = self._reads.T
        chosen = (start < address + size) & (address < end) & (instruction > after)
        if until is not None:
            chosen &= instruction <= until
        return [int(i) for i in place[chosen]]

    def _readers_by_model(self) -> dict[int, list[int]]:
        """The rows that read each tensor, where the model is at hand."""
        if self._program.graph is None:
            return {}
        places: dict[int, list[int]] = {}
        for place, row in enumerate(self._rows):
            for source in row.sources:
                places.setdefault(source, []).append(place)
        readers: dict[int, list[int]] = {}
        for op in self._program.graph.ops:
            own = places.get(op.source_index, []) if op.source_index is not None else []
            for tensor in op.inputs:
                readers.setdefault(tensor, []).extend(own)
        return readers

    def _begin(self, step: int) -> int:
        """The first row of a step, or of the one behind it."""
        return next((place for place, row in enumerate(self._rows) if row.step >= step), 0)

    def _behind(self, step: int) -> int:
        """The last row of a step, or of the one before it."""
        return max((place for place, row in enumerate(self._rows) if row.step <= step), default=0)
