"""Networks of max pools, of channels for pairs of blocks and beside them."""

from __future__ import annotations

import random

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph

__all__ = ["CHANNELS", "pools"]

# On base a block has 8 channels: less than one, one, parts of a pair, a pair, more of them.
CHANNELS = (5, 8, 9, 12, 15, 16, 17, 24, 31, 32, 40, 48)
WINDOWS = ((1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (3, 2), (5, 5))


def pools(seed: int) -> Graph:
    """A max pool of ``CHANNELS[seed]`` channels, and what a layer behind it makes of its map.

    That is another pool, or a convolution of one step a pixel.
    """
    rng = random.Random(seed)
    b = GraphBuilder()
    channels = CHANNELS[seed % len(CHANNELS)]
    x = b.tensor((1, rng.randint(5, 9), rng.randint(5, 12), channels), 0.5, rng.randint(-128, 127))
    y = _pool(b, rng, x)
    behind = _pool(b, rng, y) if rng.random() < 0.5 else b.conv(y, 16, (1, 1))
    return b.graph((x,), (y, behind))


def _pool(b: GraphBuilder, rng: random.Random, x: int) -> int:
    _, rows, columns, _ = b.tensors[x].shape
    window = rng.choice([w for w in WINDOWS if w[0] <= rows and w[1] <= columns])
    stride = rng.choice(((1, 1), (2, 2), (1, 2), (3, 1)))
    return b.pool(x, "MAX_POOL_2D", window, stride, pad=rng.randint(0, min(window) - 1))
