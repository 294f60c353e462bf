"""A dense layer some of whose ring words are zeros, of all weights or of a few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph

__all__ = ["sparse_dense"]


def sparse_dense(config: AcceleratorConfig, share: float, seed: int = 0,
                 shape: tuple[int, int] = (256, 256), largest: int = 127,
                 different: int | None = None) -> Graph:
    """Weights [outputs, inputs] of up to ``largest``, of ``different`` values where that is a
    number; of their blocks, each a word of the weight ring, ``share`` are zeros, anywhere."""
    rng = np.random.default_rng(seed)
    lanes, width = config.out_lanes, config.dot_width
    b = GraphBuilder(seed)
    x = b.tensor((1, shape[1]))
    graph = b.graph((x,), (b.fully_connected(x, shape[0]),))
    blocks = rng.permutation(np.arange(shape[0] * shape[1] // (lanes * width)))
    zeros = np.repeat(np.repeat((blocks < share * len(blocks)).reshape(
        shape[0] // lanes, -1), lanes, axis=0), width, axis=1)
    values = rng.integers(-largest, largest + 1, shape)
    if different is not None:
        values = rng.choice(rng.permutation(np.arange(1, largest + 1))[:different], shape)
    weights = np.where(zeros, 0, np.where(values == 0, 1, values)).astype(np.int8)
    tensors = tuple(replace(tensor, data=weights) if tensor.shape == shape else tensor
                    for tensor in graph.tensors)
    return replace(graph, tensors=tensors)
