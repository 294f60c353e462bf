"""Operators that only move bytes along axes: what of which operand goes where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from kaniwa.graph import Graph, Op, Tensor

__all__ = ["BLOCKS", "CUTS", "GROWN", "JOINS", "MOST_MOVES", "PADS", "REPEATS", "SHAPES", "VIEWS",
           "Move", "Taken", "cut_axes", "gathered", "joined", "moves", "side_by_side", "taken",
           "taken_at_once"]

Taken = tuple[int, int, int]      # first position, how many, step

CUTS = ("SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "UNPACK", "REVERSE_V2")
JOINS = ("CONCATENATION", "PACK")
PADS = ("PAD", "PADV2")
REPEATS = ("TILE", "BROADCAST_TO")
GROWN = (*PADS, *REPEATS, "RESIZE_NEAREST_NEIGHBOR")     # results are larger than operands
BLOCKS = ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
# What moves nothing: the result is the first operand's bytes.
SHAPES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
VIEWS = (*SHAPES, "READ_VARIABLE")
MOST_MOVES = 256      # of an operator: each is an instruction


@dataclass(frozen=True)
class Move:
    """``images`` times ``rows`` times ``columns`` runs of ``run`` neighboring bytes.

    ``source`` and ``to`` are bytes: of the first one, from one image to the next, from one row to
    the next. ``apart`` are bytes from one column to the next, of the source a multiple of ``run``,
    and of the result.
    """

    images: int
    rows: int
    run: int
    source: tuple[int, int, int]
    to: tuple[int, int, int]
    columns: int = 1
    apart: tuple[int, int] = (0, 0)


def moves(graph: Graph, op: Op) -> list[list[Move]]:
    """For each result the moves that make it, of a split or an UNPACK from its only operand, of
    JOINS one from each."""
    y = _bytes(graph.tensors[op.outputs[0]])
    if op.kind in JOINS:
        axis = _axis(op)
        sizes = [1 if op.kind == "PACK" else graph.tensors[i].shape[axis] for i in op.inputs]
        return [side_by_side(y, axis, sizes)]
    x = _bytes(graph.tensors[op.inputs[0]])
    axis = _axis(op)
    sizes = [1 if op.kind == "UNPACK" else graph.tensors[i].shape[axis] for i in op.outputs]
    return [[joined(_along(x, axis, end - size, end))]
            for size, end in zip(sizes, accumulate(sizes), strict=True)]


def side_by_side(shape: tuple[int, ...], axis: int, sizes: Sequence[int]) -> list[Move]:
    """The moves that join maps of so many places each along an axis of ``shape``, in bytes."""
    cuts = [_along(shape, axis, end - size, end)
            for size, end in zip(sizes, accumulate(sizes), strict=True)]
    return [joined(replace(cut, source=cut.to, to=cut.source)) for cut in cuts]


def _bytes(tensor: Tensor) -> tuple[int, ...]:
    """The shape, and the bytes of an element as one more axis."""
    return (*tensor.shape, np.dtype(tensor.dtype).itemsize)


def _axis(op: Op) -> int:
    axis: Any = op.attributes["axis"]
    return int(axis)


def _along(shape: tuple[int, ...], axis: int, begin: int, end: int) -> Move:
    """[begin, end) of an axis."""
    inner = prod(shape[axis + 1:])
    rows, run, pitch = prod(shape[:axis]), (end - begin) * inner, shape[axis] * inner
    return Move(1, rows, run, (begin * inner, rows * pitch, pitch), (0, rows * run, run))


def taken(op: Op, shape: tuple[int, ...]) -> list[Taken]:
    """Of each axis what a slice takes: the first position, how many, and the step, 1 where it is
    one position. Axes of ``shape`` behind the slice's are whole."""
    begin, end, stride = (op.attributes[name] for name in ("begin", "end", "stride"))
    assert isinstance(begin, tuple) and isinstance(end, tuple) and isinstance(stride, tuple)
    bounds = (*zip(begin, end, stride, strict=True), *((0, size, 1) for size in shape[len(begin):]))
    counts = [len(range(*bound)) for bound in bounds]
    return [(first, count, step if count > 1 else 1)
            for (first, _, step), count in zip(bounds, counts, strict=True)]


def cut_axes(shape: tuple[int, ...], bounds: list[Taken]) -> list[int]:
    """The axes of which not all is taken."""
    return [i for i, (size, (_, count, _)) in enumerate(zip(shape, bounds, strict=True))
            if count != size]


def taken_at_once(shape: tuple[int, ...], bounds: list[Taken]) -> Move | None:
    """The move of a slice of up to two axes, which are neighbors or have no steps; else None."""
    cut = cut_axes(shape, bounds)
    if not cut:
        return _along((1, *shape), 0, 0, 1)
    last, inner = cut[-1], prod(shape[cut[-1] + 1:])
    first, count, step = bounds[last]
    run = inner if step != 1 else count * inner
    columns, apart = (count, (step * inner, inner)) if step != 1 else (1, (0, 0))
    if len(cut) == 1:
        rows, pitch = prod(shape[:last]), shape[last] * inner
        return Move(1, rows, run, (first * inner, rows * pitch, pitch),
                    (0, rows * count * inner, count * inner), columns, apart)
    axis = cut[0]
    begin, number, wide = bounds[axis]
    between, pitch = prod(shape[axis + 1:last]), prod(shape[axis + 1:])
    if len(cut) > 2 or (wide != 1 and between != 1):
        return None
    rows = number * between
    return Move(prod(shape[:axis]), rows, run,
                (first * inner + begin * pitch, prod(shape[axis:]), wide * pitch // between),
                (0, rows * count * inner, count * inner), columns, apart)


def gathered(shape: tuple[int, ...], axis: int, places: Sequence[int]) -> list[Move]:
    """The moves of a result that has along ``axis`` the positions ``places`` of the source:
    neighbors that stay neighbors at once."""
    inner, rows, found = prod(shape[axis + 1:]), prod(shape[:axis]), list[Move]()
    pitch, wide, at = shape[axis] * inner, len(places) * inner, 0
    while at < len(places):
        past = at + 1
        while past < len(places) and places[past] == places[past - 1] + 1:
            past += 1
        found.append(joined(Move(1, rows, (past - at) * inner,
                                 (places[at] * inner, rows * pitch, pitch),
                                 (at * inner, rows * wide, wide))))
        at = past
    return found


def joined(move: Move) -> Move:
    """With rows and images that follow one another in both places as one."""
    if move.source[2] == move.to[2] == move.run:
        run = move.rows * move.run
        move = replace(move, rows=1, run=run, source=(*move.source[:2], move.source[1]),
                       to=(*move.to[:2], move.to[1]))
    if (move.source[1], move.to[1]) == (move.rows * move.source[2], move.rows * move.to[2]):
        rows = move.images * move.rows
        move = replace(move, images=1, rows=rows)
        if move.source[2] == move.to[2] == move.run and rows > 1:
            return joined(move)
    return move
