"""Weights of which words of the weight ring are zeros."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph

__all__ = ["pruned_graph", "without_words"]

DENSE = ("CONV_2D", "FULLY_CONNECTED")


def without_words(weights: npt.NDArray[np.int8], left: float, config: AcceleratorConfig,
                  rng: np.random.Generator) -> npt.NDArray[np.int8]:
    """Zeros for all but a share ``left`` of the words of weights [outputs, rows, columns, inputs]
    or [outputs, inputs]: out_lanes outputs by dot_width neighboring inputs of a kernel row."""
    rows = weights.shape[1] if weights.ndim == 4 else 1
    flat = weights.reshape(len(weights), rows, -1)
    blocks, chunks = (-(-n // size) for n, size in zip(
        (len(weights), flat.shape[2]), (config.out_lanes, config.dot_width), strict=True))
    count = blocks * rows * chunks
    kept = (rng.permutation(count) < round(left * count)).reshape(blocks, rows, chunks)
    mask = np.repeat(np.repeat(kept, config.out_lanes, 0), config.dot_width, 2)
    return (flat * mask[:len(weights), :, :flat.shape[2]]).astype(np.int8).reshape(weights.shape)


def pruned_graph(graph: Graph, left: float, config: AcceleratorConfig, seed: int) -> Graph:
    """The graph with a share ``left`` of the words of its convolutions and dense layers."""
    rng, tensors = np.random.default_rng(seed), list(graph.tensors)
    for op in graph.ops:
        if op.kind in DENSE:
            tensor = tensors[op.inputs[1]]
            if tensor.data is not None and tensor.data.dtype == np.int8:
                tensors[tensor.id] = replace(
                    tensor, data=without_words(tensor.data, left, config, rng))
    return replace(graph, tensors=tuple(tensors))
