"""Random networks whose channels are shuffled, cut apart, and joined again."""

from __future__ import annotations

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph

__all__ = ["cut", "random_cuts", "shuffled"]

STEPS = (0.1, 3)      # of all that is joined


def random_cuts(seed: int) -> Graph:
    """Three blocks: a map, shuffled or not, is cut in two or three parts; some are convolved, some
    by several layers, all are joined."""
    b = GraphBuilder(seed)
    size = int(b.rng.integers(1, 3)), int(b.rng.integers(3, 8)), int(b.rng.integers(2, 8))
    channels = int(b.rng.choice([8, 12, 16, 24, 32]))
    x = b.tensor((*size, channels), *STEPS)
    y, results = x, []
    for _ in range(3):
        if b.rng.random() < 0.7:
            y = shuffled(b, y, int(b.rng.choice([n for n in (2, 4) if channels % n == 0])))
        first = int(b.rng.choice([channels // 2, channels // 4, 3]))
        parts = [_part(b, cut(b, y, begin, end))
                 for begin, end in ((0, first), (first, channels))]
        results += [part for part in parts if b.rng.random() < 0.1]
        y = b.op("CONCATENATION", tuple(parts), b.tensor((*size, channels), *STEPS), axis=3)
    return b.graph((x,), (*results, b.conv(y, 8, (1, 1))))


def shuffled(b: GraphBuilder, x: int, groups: int) -> int:
    """Channels of so many groups by turns."""
    batch, rows, columns, channels = b.tensors[x].shape
    apart = b.reshape(x, (batch, rows, columns, groups, channels // groups))
    turned = b.op("TRANSPOSE", (apart,), b.tensor(
        (batch, rows, columns, channels // groups, groups), *b.steps(x)),
        permutation=(0, 1, 2, 4, 3))
    return b.reshape(turned, (batch, rows, columns, channels))


def cut(b: GraphBuilder, x: int, first: int, past: int) -> int:
    """Some channels of a map."""
    *shape, _ = b.tensors[x].shape
    return b.op("STRIDED_SLICE", (x,), b.tensor((*shape, past - first), *b.steps(x)),
                begin=(0, 0, 0, first), end=(*shape, past), stride=(1, 1, 1, 1))


def _part(b: GraphBuilder, x: int) -> int:
    """The channels themselves, or layers of them."""
    channels, size = b.tensors[x].shape[3], int(b.rng.choice([1, 3]))
    match int(b.rng.integers(4)):
        case 0:
            return x
        case 1:
            inner = b.conv(x, channels, (1, 1))
            return b.requantized(b.conv(inner, channels, depthwise=1), *STEPS)
        case 2:
            made = b.requantized(b.conv(x, channels, (size, size)), *STEPS)
            return b.elementwise("ADD", made, b.requantized(b.conv(x, channels, (1, 1)), *STEPS),
                                 "NONE", *STEPS)
        case _:
            return b.requantized(b.conv(x, channels, (size, size)), *STEPS)
