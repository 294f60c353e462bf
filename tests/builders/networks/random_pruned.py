"""Random networks of which blocks of weights are zeros, as the array's words have them."""

from __future__ import annotations

from dataclasses import replace

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph
from kaniwa.sim.worlds.pruned_words import without_words

__all__ = ["prune_blocks", "random_pruned"]


def random_pruned(seed: int, config: AcceleratorConfig) -> Graph:
    """Two or three convolutions and a dense layer, with a share of their blocks left."""
    b = GraphBuilder(seed)
    shape = (1, int(b.rng.integers(3, 9)), int(b.rng.integers(3, 9)), int(b.rng.integers(3, 60)))
    x = y = b.tensor(shape)
    for _ in range(int(b.rng.integers(2, 4))):
        kernel = (1, 1) if b.rng.random() < 0.3 else tuple(int(n) for n in b.rng.integers(1, 5, 2))
        room = b.tensors[y].shape[1:3]
        many = min(room) > 4
        y = b.conv(y, int(b.rng.integers(8, 70)), kernel,
                   stride=(int(b.rng.integers(1, 3)),) * 2 if many else (1, 1),
                   dilation=(int(b.rng.integers(1, 3)),) * 2 if many else (1, 1),
                   pad=max(kernel) // 2 * (2 if many else 1))
        prune_blocks(b, y, config, float(b.rng.choice([0.1, 0.4, 0.8])))
    y = b.fully_connected(y, int(b.rng.integers(8, 40)))
    prune_blocks(b, y, config, float(b.rng.choice([0.1, 0.5])))
    return b.graph((x,), (y,))


def prune_blocks(b: GraphBuilder, y: int, config: AcceleratorConfig, left: float) -> None:
    """Zeros for all but a share of the blocks of the layer that made ``y``: out_lanes channels by
    dot_width neighboring inputs of a kernel row."""
    op = b.ops[-1]
    assert op.outputs == (y,)
    tensor = b.tensors[op.inputs[1]]
    assert tensor.data is not None
    b.tensors[op.inputs[1]] = replace(
        tensor, data=without_words(tensor.data, left, config, b.rng))
