"""Flow of data between the layers of a program, those of the host too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kaniwa.graph import Graph
from kaniwa.program.host_part import HostOp
from kaniwa.program.program import LayerInfo, Program
from kaniwa.report.accesses import Access

__all__ = ["INPUT", "Row", "edges", "rows_of"]

INPUT = -1     # the model's inputs, where an edge begins

Edge = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """A layer or an operator of the host, in the order of execution.

    ``position``: in the program's layers or its host operators. ``step``: in its steps.
    """

    step: int
    position: int
    work: LayerInfo | HostOp

    @property
    def sources(self) -> tuple[int, ...]:
        """Operators of the model file."""
        if isinstance(self.work, LayerInfo):
            return self.work.source
        return () if self.work.source is None else (self.work.source,)


def rows_of(program: Program) -> list[Row]:
    """The rows of a report, in the order of the program's steps."""
    rows, positions = [], {id(layer): i for i, layer in enumerate(program.layers)}
    for number, step in enumerate(program.steps):
        if step.where == "host":
            rows += [Row(number, at, program.host_ops[at])
                     for at in range(step.first, step.first + step.count)]
            continue
        rows += [Row(number, positions[id(layer)], layer) for layer in program.layers_of(step)]
    return rows


def edges(program: Program, rows: Sequence[Row], found: Sequence[Access]) -> list[Edge]:
    """(from, to) rows, each pair once: ``to`` reads what ``from`` made; from INPUT as well.

    They are the model's own where it is at hand, else those that the addresses tell.
    """
    pairs = (_by_model(program.graph, rows) if program.graph is not None
             else _by_address(program, rows, found))
    return sorted({(start, end) for start, end in pairs if start < end})


def _by_model(graph: Graph, rows: Sequence[Row]) -> list[Edge]:
    places: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        for source in row.sources:
            places.setdefault(source, []).append(place)
    pairs = list[Edge]()
    made: dict[int, tuple[int, ...]] = {i: (INPUT,) for i in graph.inputs}
    for op in graph.ops:
        reads = {i for tensor in op.inputs for i in made.get(tensor, ())}
        own = places.get(op.source_index, []) if op.source_index is not None else []
        if own:
            # Several layers that make one operator work one after the other.
            pairs += [(start, own[0]) for start in reads]
            pairs += list(zip(own, own[1:], strict=False))
        for tensor in op.outputs:
            made[tensor] = (own[-1],) if own else tuple(reads)
    return pairs


@dataclass
class _Memory:
    """The rows that wrote memory last; ``writes`` are (address, end, bytes, row)."""

    writes: list[tuple[int, int, int, int]] = field(default_factory=list)

    def writers(self, address: int, end: int) -> set[int]:
        """The rows whose data is there, by the latest writes that fill the range."""
        rows, missing = set[int](), end - address
        for start, stop, size, row in reversed(self.writes):
            both = min(end, stop) - max(address, start)
            if both > 0:
                rows.add(row)
                missing -= min(both, size)
            if missing <= 0:
                break
        return rows


def _by_address(program: Program, rows: Sequence[Row], found: Sequence[Access]) -> list[Edge]:
    memory, pairs = _Memory(), list[Edge]()
    tensors = {tensor.id: tensor for tensor in program.tensors}
    made = dict.fromkeys(program.input_ids, INPUT)
    layers: dict[int, list[Access]] = {}
    for access in found:
        layers.setdefault(access.layer, []).append(access)
    begun = set[int]()
    for place, row in enumerate(rows):
        step = program.steps[row.step]
        if isinstance(row.work, HostOp):
            for i in row.work.inputs:
                tensor = tensors.get(i)
                if i in made:
                    pairs.append((made[i], place))
                elif tensor is not None and tensor.address is not None:
                    pairs += [(start, place) for start in memory.writers(
                        tensor.address, tensor.address + tensor.bytes)]
            made.update((i, place) for i in row.work.outputs)
            continue
        if row.step not in begun:
            begun.add(row.step)
            for i in step.takes:
                address, size = tensors[i].address, tensors[i].bytes
                if address is not None:
                    memory.writes.append((address, address + size, size, made.get(i, INPUT)))
        own = layers.get(row.position, [])
        reads = [access for access in own if access.kind in ("input", "operand")]
        for access in reads:
            pairs += [(start, place) for start in memory.writers(access.address, access.end)]
        if not reads:      # a unit's program: what it reads is not in the fields
            pairs.append((place - 1, place))
        memory.writes += [(a.address, a.end, a.moved, place) for a in own if a.kind == "output"]
        output = tensors.get(row.work.output)
        if output is not None:
            made[output.id] = place
            if output.address is not None and not reads:
                memory.writes.append((output.address, output.address + output.bytes, output.bytes,
                                      place))
    return pairs
