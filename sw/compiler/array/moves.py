"""Operators that only move bytes along axes: what of which operand goes where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from kaniwa.graph import Graph, Op, Tensor

__all__ = ["BLOCKS", "CUTS", "GROWN", "JOINS", "PADS", "REVERSED", "VIEWS", "Move", "joined",
           "moves"]

CUTS = ("SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "UNPACK", "REVERSE_V2")
JOINS = ("CONCATENATION", "PACK")
PADS = ("PAD", "PADV2")
GROWN = (*PADS, "RESIZE_NEAREST_NEIGHBOR")     # results are larger than operands
BLOCKS = ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
# What moves nothing: the result is the first operand's bytes.
VIEWS = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "READ_VARIABLE")
REVERSED = 256      # positions, at most: each is an instruction


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


def moves(graph: Graph, op: Op) -> list[list[Move]] | None:
    """For each result the moves that make it, of an operator of CUTS from its only operand, of
    JOINS one from each; None for a slice or a reversal that takes too many of them."""
    y = _bytes(graph.tensors[op.outputs[0]])
    if op.kind in JOINS:
        axis = _axis(op)
        sizes = [1 if op.kind == "PACK" else graph.tensors[i].shape[axis] for i in op.inputs]
        ends = list(accumulate(sizes))
        cuts = [_along(y, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)]
        return [[joined(replace(cut, source=cut.to, to=cut.source)) for cut in cuts]]
    x = _bytes(graph.tensors[op.inputs[0]])
    if op.kind in ("SLICE", "STRIDED_SLICE"):
        cut = _slice(op, x)
        return None if cut is None else [[joined(cut)]]
    if op.kind == "REVERSE_V2":
        return _reversed(op, x)
    axis = _axis(op)
    sizes = [1 if op.kind == "UNPACK" else graph.tensors[i].shape[axis] for i in op.outputs]
    return [[joined(_along(x, axis, end - size, end))]
            for size, end in zip(sizes, accumulate(sizes), strict=True)]


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


def _reversed(op: Op, shape: tuple[int, ...]) -> list[list[Move]] | None:
    """Each position of the axes, which are neighbors, from where it was."""
    axes: Any = op.attributes["axes"]
    first, last = min(axes), max(axes) + 1
    count = prod(shape[first:last])
    if count > REVERSED:
        return None
    one = (*shape[:first], count, *shape[last:])
    cuts = [_along(one, first, i, i + 1) for i in range(count)]
    return [[joined(replace(cut, to=other.source))
             for cut, other in zip(cuts, cuts[::-1], strict=True)]]


def _slice(op: Op, shape: tuple[int, ...]) -> Move | None:
    """Of a slice that cuts up to two axes, without steps between what it takes."""
    begin, end, stride = (op.attributes[name] for name in ("begin", "end", "stride"))
    assert isinstance(begin, tuple) and isinstance(end, tuple) and isinstance(stride, tuple)
    bounds = (*zip(begin, end, stride, strict=True), (0, shape[-1], 1))
    counts = [len(range(*bound)) for bound in bounds]
    cut = [i for i, size in enumerate(shape) if counts[i] != size]
    if len(cut) > 2 or any(count > 1 and step != 1
                           for count, (*_, step) in zip(counts, bounds, strict=True)):
        return None
    if not cut:
        return _along((1, *shape), 0, 0, 1)
    inner = _along(shape, cut[-1], begin[cut[-1]], begin[cut[-1]] + counts[cut[-1]])
    if len(cut) == 1:
        return inner
    axis = cut[0]
    image, pitch = prod(shape[axis:]), prod(shape[axis + 1:])
    rows = counts[axis] * prod(shape[axis + 1:cut[1]])
    return Move(prod(shape[:axis]), rows, inner.run,
                (inner.source[0] + begin[axis] * pitch, image, inner.source[2]),
                (0, rows * inner.run, inner.run))


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
