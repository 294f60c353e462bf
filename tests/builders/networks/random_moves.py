"""Random networks in which maps are repeated, gathered, and cut into blocks between layers."""

from __future__ import annotations

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph

__all__ = ["random_moves"]


def random_moves(seed: int) -> Graph:
    """Three times a convolution and a move, then a sum with an operand that is broadcast."""
    b = GraphBuilder(seed)
    batch, rows, columns = (int(n) for n in b.rng.integers((1, 2, 2), (3, 6, 6)))
    x = b.tensor((batch, rows, columns, int(b.rng.integers(1, 20))))
    y = x
    for _ in range(3):
        y = b.conv(y, int(b.rng.choice([1, 3, 8, 12, 16, 33])), (1, 1))
        move = (_tiled, _to_batch, _to_space, _gathered)[int(b.rng.integers(4))]
        y = move(b, y)
    return b.graph((x,), (_summed(b, y),))


def _moved(b: GraphBuilder, kind: str, x: int, shape: tuple[int, ...], *others: int,
           **attributes: object) -> int:
    return b.op(kind, (x, *others), b.tensor(shape, *b.steps(x)), **attributes)


def _tiled(b: GraphBuilder, x: int) -> int:
    shape = b.tensors[x].shape
    times = tuple(int(n) for n in b.rng.choice([1, 1, 2, 3], len(shape)))
    return _moved(b, "TILE", x, tuple(n * t for n, t in zip(shape, times, strict=True)),
                  multiples=times)


def _to_batch(b: GraphBuilder, x: int) -> int:
    batch, rows, columns, channels = b.tensors[x].shape
    block = tuple(int(n) for n in b.rng.integers(1, 4, 2))
    before = [int(n) for n in b.rng.integers(0, 2, 2)]
    pads = tuple((n, -(size + n) % side) for n, size, side in zip(
        before, (rows, columns), block, strict=True))
    sizes = tuple((size + sum(pad)) // side for size, pad, side in zip(
        (rows, columns), pads, block, strict=True))
    return _moved(b, "SPACE_TO_BATCH_ND", x, (batch * block[0] * block[1], *sizes, channels),
                  block=block, paddings=pads)


def _to_space(b: GraphBuilder, x: int) -> int:
    batch, rows, columns, channels = b.tensors[x].shape
    block = (int(b.rng.choice([n for n in (1, 2, 3) if batch % n == 0])), 1)
    crop = (0, int(b.rng.integers(0, rows * block[0])))
    return _moved(b, "BATCH_TO_SPACE_ND", x, (
        batch // block[0], rows * block[0] - crop[1], columns, channels),
        block=block, crops=(crop, (0, 0)))


def _gathered(b: GraphBuilder, x: int) -> int:
    shape = b.tensors[x].shape
    axis = int(b.rng.integers(4))
    places = b.rng.integers(0, shape[axis], int(b.rng.integers(1, 12))).astype(np.int32)
    indices = b.tensor(places.shape, None, 0, places)
    return _moved(b, "GATHER", x, (*shape[:axis], len(places), *shape[axis + 1:]), indices,
                  axis=axis, batch_dims=0)


def _summed(b: GraphBuilder, x: int) -> int:
    """With a slice of some positions of some axes, which are repeated."""
    shape = b.tensors[x].shape
    narrow = tuple(n if b.rng.random() < 0.5 else 1 for n in shape)
    part = b.op("STRIDED_SLICE", (x,), b.tensor(narrow, *b.steps(x)), begin=(0,) * 4, end=narrow,
                stride=(1,) * 4)
    operands = (part, x) if b.rng.random() < 0.5 else (x, part)
    return b.elementwise(str(b.rng.choice(["ADD", "SUB"])), *operands)
