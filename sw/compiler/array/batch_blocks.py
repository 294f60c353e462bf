"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND as moves: every b-th row and column are images."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

from kaniwa.compiler.array.moves import Move

__all__ = ["to_batch", "to_space"]

Shape = tuple[int, ...]


def to_batch(shape: Shape, block: Shape) -> list[Move]:
    """The move of each position in a block of bytes [images, rows, columns, run], or without rows,
    to images of its own."""
    images, *sizes, run = shape
    (rows, columns), (tall, wide) = (n if len(n) == 2 else (1, *n) for n in (sizes, block))
    part, row = images * rows * columns * run // (tall * wide), columns * run
    return [Move(images, rows // tall, run,
                 (down * row + right * run, rows * row, tall * row),
                 (number * part, part // images, row // wide), columns // wide, (wide * run, run))
            for number, (down, right) in enumerate(product(range(tall), range(wide)))]


def to_space(shape: Shape, block: Shape) -> list[Move]:
    """The moves of bytes [images, rows, columns, run], or without rows, whose images are positions
    in blocks."""
    batch, *sizes, run = shape
    whole = (batch // prod(block), *(n * b for n, b in zip(sizes, block, strict=True)), run)
    return [replace(move, source=move.to, to=move.source, apart=move.apart[::-1])
            for move in to_batch(whole, block)]
