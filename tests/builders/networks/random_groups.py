"""Random networks of grouped convolutions, and of depthwise ones with a multiplier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph

__all__ = ["grouped", "random_groups"]


def grouped(b: GraphBuilder, x: int, groups: int, channels: int, kernel: tuple[int, int] = (3, 3),
            stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1)) -> int:
    """A CONV_2D of so many groups and output channels, each with a scale of its own."""
    y = b.conv(x, channels, kernel, stride, dilation, activation="RELU")
    op, depth = b.ops[-1], b.tensors[x].shape[3]
    weights = b.tensors[op.inputs[1]]
    assert weights.data is not None and weights.quantization is not None
    scales = tuple(b.rng.uniform(0.004, 0.02, channels).astype(np.float32).tolist())
    own = weights.data[..., :depth // groups]
    b.tensors[weights.id] = replace(weights, shape=own.shape, data=own, quantization=replace(
        weights.quantization, scales=scales, zero_points=(0,) * channels, axis=0))
    return y


def random_groups(seed: int) -> Graph:
    """Three layers, one behind the other or joined; maps, kernels and groups of any size."""
    b = GraphBuilder(seed)
    groups = int(b.rng.integers(2, 9))
    size = int(b.rng.integers(3, 10)), int(b.rng.integers(3, 10))
    x = made = b.tensor((int(b.rng.integers(1, 3)), *size, groups * int(b.rng.integers(1, 12))))
    for _ in range(3):
        rows, columns, depth = b.tensors[made].shape[1:]
        kernel, dilation = (_sizes(b, rows), _sizes(b, columns)), (1, 1)
        if min(rows, columns) > 4:
            dilation = int(b.rng.integers(1, 3)), int(b.rng.integers(1, 3))
        stride = int(b.rng.integers(1, 3)), int(b.rng.integers(1, 3))
        if depth < 60 and b.rng.random() < 0.4:
            multiplier = int(b.rng.integers(2, 4))
            made = b.conv(made, multiplier * depth, kernel, stride, dilation, depthwise=multiplier)
            continue
        of_depth = [n for n in range(2, depth + 1) if depth % n == 0] or [1]
        groups = int(b.rng.choice(of_depth))
        each = int(b.rng.integers(1, max(2, 64 // groups)))
        made = grouped(b, made, groups, groups * each, kernel, stride, dilation)
        if b.rng.random() < 0.3:
            made = b.add(made, made)
    return b.graph((x,), (made,))


def _sizes(b: GraphBuilder, most: int) -> int:
    """Taps of a kernel along an axis of a map."""
    return int(b.rng.integers(1, min(most, 3) + 1))
