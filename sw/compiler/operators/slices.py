"""Operators that take parts of a tensor, or put something around it, on the accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from kaniwa.compiler.array.gathers import picks, runs_of
from kaniwa.compiler.array.moves import MOST_MOVES, Move, gathered, taken
from kaniwa.compiler.array.padding import fill_of
from kaniwa.compiler.operators.limits import some_elements
from kaniwa.compiler.operators.movement import as_copies, integers_moved
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import copied, cut_from, gathered_along, padded_with
from kaniwa.compiler.plan.operands import Pair
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def few_backwards(graph: Graph, op: Op) -> str | None:
    """Along an axis it takes up to 256 elements backwards, or channels."""
    x = graph.tensors[op.inputs[0]]
    longest = max((count for axis, (_, count, step) in enumerate(taken(op, x.shape))
                   if step < 0 and not picks(x.dtype, x.shape, axis, count)), default=0)
    return None if longest <= MOST_MOVES else (
        f"it takes {longest} elements backwards, each an instruction; leave it to the host")


def constant_places(graph: Graph, op: Op) -> str | None:
    """Its indices are constants inside the axis, in up to 256 runs of neighbors, or of channels."""
    x, tensor = (graph.tensors[i] for i in op.inputs)
    axis = int(str(op.attributes["axis"]))
    if tensor.data is None:
        return f"indices '{tensor.name}' are computed; make them constant"
    size = x.shape[axis]
    if tensor.data.size and not 0 <= int(tensor.data.min()) <= int(tensor.data.max()) < size:
        return f"indices '{tensor.name}' leave the {size} positions of the axis; correct the model"
    if op.attributes["batch_dims"]:
        return "it has other indices for each of a batch; gather from each alone"
    runs = runs_of(places := tensor.data.reshape(-1).tolist())
    return None if runs <= MOST_MOVES or picks(x.dtype, x.shape, axis, len(places)) else (
        f"it copies {runs} runs of neighbors, each an instruction; gather fewer, or leave it to "
        "the host")


def few_runs(graph: Graph, op: Op) -> str | None:
    """Along an axis there are up to 256 runs of neighbors, or bytes that matrices put in order."""
    x = graph.tensors[op.inputs[0]]
    worst = max((len(moves) for axis, shape, moves in _mirrored(x.shape, op)
                 if not _edges_are_picked(x.dtype, shape, axis, op)), default=0)
    return None if worst <= MOST_MOVES else (
        f"it copies {worst} runs of an axis, each an instruction; pad less, or leave it to the "
        "host")


def constant_fill(graph: Graph, op: Op) -> str | None:
    """The value around what is padded is a constant."""
    wrong = next((graph.tensors[i] for i in op.inputs[1:] if graph.tensors[i].data is None), None)
    return None if wrong is None else f"padding value '{wrong.name}' is computed; make it constant"


def _pad(rewriter: Rewriter, op: Op) -> None:
    around: Any = op.attributes["paddings"], fill_of(rewriter.graph, op)
    padded_with(rewriter, op, op.inputs[0], around, op.outputs[0])


def _slice(rewriter: Rewriter, op: Op) -> None:
    """What is taken backwards is gathered, axis by axis, and then the rest is cut."""
    source, y = op.inputs[0], rewriter.tensors[op.outputs[0]]
    shape = rewriter.tensors[source].shape
    bounds = taken(op, shape)
    for axis, (first, count, step) in enumerate(bounds):
        if step < 0:
            made = (*shape[:axis], count, *shape[axis + 1:])
            result = rewriter.tensor(f"{y.name}:backwards{axis}", made, y)
            gathered_along(rewriter, op, source, (shape, axis),
                           range(first, first + count * step, step), result)
            source, shape, bounds[axis] = result, made, (0, count, 1)
    cut_from(rewriter, op, source, bounds, y.id)


def _mirror(rewriter: Rewriter, op: Op) -> None:
    """A COPY for each axis that is padded: of all that is there, and of each run around it, or of
    the two sides that matrices have put in order."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    parts, source = list(_mirrored((*x.shape, np.dtype(x.dtype).itemsize), op)), x.id
    for number, (axis, shape, moves) in enumerate(parts):
        made = y.id if number == len(parts) - 1 else rewriter.tensor(
            f"{y.name}:{number}", shape[:-1], y)
        if len(moves) > MOST_MOVES:
            _sides(rewriter, op, axis, source, made)
        else:
            copied(rewriter, op, source, moves, made)
        source = made
    if not parts:
        rewriter.renamed(op, x.id, y)


def _sides(rewriter: Rewriter, op: Op, axis: int, source: int, result: int) -> None:
    """``result`` is ``source`` with both sides of its last axis, but for axes of one element, in
    the order of a mirror."""
    x, (before, behind) = rewriter.tensors[source], _pads(op)[axis]
    size, rows = x.shape[axis], prod(x.shape[:axis])
    places = _around(size, (before, behind), str(op.attributes["mode"]).lower())
    parts = [(0, _side(rewriter, op, source, axis, places[:before])), (before, source),
             (before + size, _side(rewriter, op, source, axis, places[before + size:]))]
    wide = [before, size, behind]
    moves = tuple(Move(1, rows, n, (0, rows * n, n), (at, rows * len(places), len(places)))
                  for (at, _), n in zip(parts, wide, strict=True) if n)
    rewriter.emit(op, "COPY", tuple(part for (_, part), n in zip(parts, wide, strict=True) if n),
                  {**op.attributes, "taps": 0, "moves": moves}, result)


def _side(rewriter: Rewriter, op: Op, source: int, axis: int, places: list[int]) -> int:
    """Some ``places`` near each other of an axis, as a matrix picks them."""
    x = rewriter.tensors[source]
    if not places:
        return source
    first, past = min(places), max(places) + 1
    bounds = [(0, n, 1) for n in x.shape]
    bounds[axis] = (first, past - first, 1)
    shapes = [(*x.shape[:axis], n, *x.shape[axis + 1:]) for n in (past - first, len(places))]
    name = f"{x.name}:{places[0]}to{places[-1]}"
    cut, made = (rewriter.tensor(f"{name}:{which}", shape, x)
                 for which, shape in zip(("cut", "mirrored"), shapes, strict=True))
    cut_from(rewriter, op, source, bounds, cut)
    gathered_along(rewriter, op, cut, (shapes[0][:axis + 1], axis),
                   [place - first for place in places], made)
    return made


def _pads(op: Op) -> tuple[Pair, ...]:
    paddings = op.attributes["paddings"]
    assert isinstance(paddings, tuple)
    return paddings


def _edges_are_picked(dtype: str, shape: tuple[int, ...], axis: int, op: Op) -> bool:
    """True for bytes of which the axis is the last one, whose sides matrices can pick."""
    return prod(shape[axis + 1:]) == 1 and all(
        picks(dtype, (pad,), 0, pad) for pad in _pads(op)[axis])


def _mirrored(shape: tuple[int, ...],
              op: Op) -> Iterator[tuple[int, tuple[int, ...], list[Move]]]:
    """Each axis that MIRROR_PAD pads, the shape behind it, and the moves."""
    for axis, pads in enumerate(_pads(op)):
        if any(pads):
            places = _around(shape[axis], pads, str(op.attributes["mode"]).lower())
            moves = gathered(shape, axis, places)
            shape = (*shape[:axis], len(places), *shape[axis + 1:])
            yield axis, shape, moves


def _gather(rewriter: Rewriter, op: Op) -> None:
    indices, axis = rewriter.tensors[op.inputs[1]].data, int(str(op.attributes["axis"]))
    assert indices is not None      # ``constant_places``
    gathered_along(rewriter, op, op.inputs[0], (rewriter.tensors[op.inputs[0]].shape, axis),
                   indices.reshape(-1).tolist(), op.outputs[0])


def _around(size: int, pads: Pair, mode: Any) -> list[int]:
    """The positions of an axis that lie side by side behind np.pad in this ``mode``."""
    places: list[int] = np.pad(np.arange(size), pads, mode=mode).tolist()
    return places


_MOVED = (integers_moved, some_elements)

OPERATORS = (
    DeviceOperator("SPLIT", _MOVED, as_copies),
    DeviceOperator("SPLIT_V", _MOVED, as_copies),
    DeviceOperator("SLICE", (*_MOVED, few_backwards), _slice),
    DeviceOperator("STRIDED_SLICE", (*_MOVED, few_backwards), _slice),
    DeviceOperator("GATHER", (*_MOVED, constant_places), _gather),
    DeviceOperator("MIRROR_PAD", (*_MOVED, few_runs), _mirror),
    DeviceOperator("PAD", _MOVED, _pad),
    DeviceOperator("PADV2", (*_MOVED, constant_fill), _pad),
)
