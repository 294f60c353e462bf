"""Operators that take parts of a tensor, or put something around it, on the accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kaniwa.compiler.array.moves import (
    REVERSED,
    Move,
    cut_axes,
    gathered,
    joined,
    taken,
    taken_at_once,
)
from kaniwa.compiler.array.padding import FILLER, fill_of, fills, padded, split_axes
from kaniwa.compiler.operators.limits import some_elements
from kaniwa.compiler.operators.movement import as_copies, integers_moved
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.plan.operands import Pair
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def in_order(graph: Graph, op: Op) -> str | None:
    """It takes elements in their order."""
    backwards = any(step < 0 for _, _, step in taken(op, graph.tensors[op.inputs[0]].shape))
    return "it takes elements backwards; reverse what it gives" if backwards else None


def few_runs(graph: Graph, op: Op) -> str | None:
    """Along an axis there are up to 256 runs of neighbors."""
    worst = max((len(moves) for *_, moves in _mirrored(graph.tensors[op.inputs[0]].shape, op)),
                default=0)
    return None if worst <= REVERSED else (
        f"it copies {worst} runs of an axis, each an instruction; pad less, or leave it to the "
        "host")


def constant_fill(graph: Graph, op: Op) -> str | None:
    """The value around what is padded is a constant."""
    wrong = next((graph.tensors[i] for i in op.inputs[1:] if graph.tensors[i].data is None), None)
    return None if wrong is None else f"padding value '{wrong.name}' is computed; make it constant"


def _pad(rewriter: Rewriter, op: Op) -> None:
    """A COPY for two axes each, with the bytes of an element as one more axis."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    paddings = op.attributes["paddings"]
    assert isinstance(paddings, tuple)
    size, source, shape = np.dtype(x.dtype).itemsize, x.id, x.shape
    parts = split_axes(paddings)
    if not parts:
        rewriter.renamed(op, x.id, y)
        return
    value = np.full(FILLER // size, fill_of(rewriter.graph, op), x.dtype)
    filler = rewriter.tensor(f"{op.name}:fill", value.shape, x, value)
    for part in parts:
        inner, gaps = fills((*shape, size), (*part, (0, 0)))
        shape = padded(shape, part)
        result = y.id if part is parts[-1] else rewriter.tensor(f"{y.name}:part", shape, y)
        rewriter.emit(op, "COPY", (source, *[filler] * len(gaps)), {
            **op.attributes, "taps": 0, "moves": (inner, *gaps)}, result)
        source = result


def _slice(rewriter: Rewriter, op: Op) -> None:
    """A COPY for two axes at once, or for one, with the bytes of an element as one more axis."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    source, shape = x.id, (*x.shape, np.dtype(x.dtype).itemsize)
    bounds = taken(op, shape)
    while (move := taken_at_once(shape, bounds)) is None:
        axis = cut_axes(shape, bounds)[0]
        of_axis = [(0, size, 1) for size in shape]
        of_axis[axis] = bounds[axis]
        alone = taken_at_once(shape, of_axis)
        assert alone is not None      # of one axis
        shape = (*shape[:axis], bounds[axis][1], *shape[axis + 1:])
        bounds[axis] = (0, shape[axis], 1)
        made = rewriter.tensor(f"{y.name}:{axis}", shape[:-1], y)
        _copied(rewriter, op, source, [joined(alone)], made)
        source = made
    _copied(rewriter, op, source, [joined(move)], y.id)


def _mirror(rewriter: Rewriter, op: Op) -> None:
    """A COPY for each axis that is padded: of all that is there, and of each run around it."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    parts, source = list(_mirrored((*x.shape, np.dtype(x.dtype).itemsize), op)), x.id
    for number, (shape, moves) in enumerate(parts):
        made = y.id if number == len(parts) - 1 else rewriter.tensor(
            f"{y.name}:{number}", shape[:-1], y)
        _copied(rewriter, op, source, moves, made)
        source = made
    if not parts:
        rewriter.renamed(op, x.id, y)


def _mirrored(shape: tuple[int, ...], op: Op) -> Iterator[tuple[tuple[int, ...], list[Move]]]:
    """For each axis that MIRROR_PAD pads the shape behind it, and the moves."""
    paddings, mode = op.attributes["paddings"], op.attributes["mode"]
    assert isinstance(paddings, tuple) and isinstance(mode, str)
    for axis, pads in enumerate(paddings):
        if any(pads):
            places = _around(shape[axis], pads, mode.lower())
            moves = gathered(shape, axis, places)
            shape = (*shape[:axis], len(places), *shape[axis + 1:])
            yield shape, moves


def _around(size: int, pads: Pair, mode: Any) -> list[int]:
    """The positions of an axis that lie side by side behind np.pad in this ``mode``."""
    places: list[int] = np.pad(np.arange(size), pads, mode=mode).tolist()
    return places


def _copied(rewriter: Rewriter, op: Op, source: int, moves: list[Move], result: int) -> None:
    rewriter.emit(op, "COPY", (source,) * len(moves), {
        **op.attributes, "taps": 0, "moves": tuple(moves)}, result)


_MOVED = (integers_moved, some_elements)

OPERATORS = (
    DeviceOperator("SPLIT", _MOVED, as_copies),
    DeviceOperator("SPLIT_V", _MOVED, as_copies),
    DeviceOperator("SLICE", (*_MOVED, in_order), _slice),
    DeviceOperator("STRIDED_SLICE", (*_MOVED, in_order), _slice),
    DeviceOperator("MIRROR_PAD", (*_MOVED, few_runs), _mirror),
    DeviceOperator("PAD", _MOVED, _pad),
    DeviceOperator("PADV2", (*_MOVED, constant_fill), _pad),
)
