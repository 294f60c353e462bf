"""RESIZE_NEAREST_NEIGHBOR as moves: rows and columns that are equally far apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaniwa.compiler.array.moves import Move

__all__ = ["Progression", "picked", "progressions"]


@dataclass(frozen=True)
class Progression:
    """Results ``to``, ``to`` + ``to_step``, ... of the elements ``source``, ``source`` + ``step``,
    ..., so many of them."""

    to: int
    to_step: int
    source: int
    step: int
    count: int


def progressions(index: Sequence[int]) -> list[Progression]:
    """The fewest, all as far apart, with which result n is element ``index[n]``."""
    for apart in range(1, len(index) + 1):
        parts = [index[first::apart] for first in range(apart)]
        steps = [part[1] - part[0] if len(part) > 1 else 0 for part in parts]
        if all(n - m == step >= 0 for part, step in zip(parts, steps, strict=True)
               for m, n in zip(part, part[1:], strict=False)):
            return [Progression(first, apart, part[0], step, len(part))
                    for first, (part, step) in enumerate(zip(parts, steps, strict=True))]
    return []


def picked(shape: tuple[int, int, int, int], rows: Sequence[Progression],
           columns: Sequence[Progression], size: tuple[int, int]) -> list[Move]:
    """The moves that make maps of ``size`` from maps [images, rows, columns, bytes]."""
    images, height, width, pixel = shape
    row, result = width * pixel, size[1] * pixel
    moves = []
    for r in rows:
        source, to = (r.source * row, height * row, r.step * row), (
            r.to * result, size[0] * result, r.to_step * result)
        for c in columns:
            whole = c.step == c.to_step == 1     # neighbors stay neighbors
            moves.append(Move(
                images, r.count, pixel * (c.count if whole else 1),
                (source[0] + c.source * pixel, *source[1:]), (to[0] + c.to * pixel, *to[1:]),
                1 if whole else c.count, (c.step * pixel, c.to_step * pixel)))
    return moves
