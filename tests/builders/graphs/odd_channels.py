"""Random networks of depthwise layers whose channels and rows are no whole lanes and reads."""

from __future__ import annotations

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.uint8_graphs import uint8
from kaniwa.graph import Graph

__all__ = ["odd_network", "noise"]

CHANNELS = (1, 2, 3, 4, 5, 7, 9, 10, 12, 14, 17, 20, 22, 24, 27)
STEPS = ("none", "conv", "conv", "wide", "skip", "max", "average", "join", "both", "split", "table")
KERNELS = ((3, 3), (3, 3), (3, 3), (5, 5), (2, 3), (1, 4), (3, 1), (6, 7))


def odd_network(seed: int, unsigned: bool = False) -> Graph:
    """Three to six steps of depthwise layers with what may stand between them.

    A step is a convolution, a skip connection, a pool, two maps side by side, a half, or a table.
    The network ends in a dense layer, a map or several maps. ``unsigned``: of legacy uint8, with
    weights beyond int8.
    """
    b = GraphBuilder(seed)
    rng = b.rng
    x = source = b.tensor((int(rng.choice([1, 1, 2])), *map(int, rng.integers(7, 15, 2)),
                           int(rng.choice(CHANNELS))), 0.5, int(rng.integers(-9, 9)))
    kept = []
    for _ in range(int(rng.integers(3, 7))):
        x = _depthwise(b, _step(b, x))
        if rng.random() < 0.15:
            kept.append(x)
    if rng.random() < 0.5 and not unsigned and b.tensors[x].shape[0] == 1:
        x = b.fully_connected(x, 9)
    graph = b.graph((source,), tuple(dict.fromkeys((*kept, x))))
    if not unsigned:
        return graph
    zero = int(rng.choice([0, 90, 128, 200]))
    return uint8(graph, {t.id: _unsigned(rng, t.shape, zero) for t in graph.tensors
                         if t.data is not None and t.data.dtype == np.int8}, zero)


def noise(size: int, seed: int) -> bytes:
    """What memory may hold before a program is there."""
    return np.random.default_rng(seed).bytes(size)


def _unsigned(rng: np.random.Generator, shape: tuple[int, ...], zero: int) -> np.ndarray:
    """Weights near ``zero``, so that sums do not saturate, and some as far from it as can be."""
    near = np.clip(zero + rng.integers(-50, 51, shape), 0, 255)
    return np.where(rng.random(shape) < 0.05, rng.integers(0, 256, shape), near).astype(np.uint8)


def _depthwise(b: GraphBuilder, x: int) -> int:
    _, rows, columns, channels = b.tensors[x].shape
    kernel = KERNELS[int(b.rng.integers(len(KERNELS)))]
    if rows < kernel[0] or columns < kernel[1]:
        return x
    stride = (1, 1) if b.rng.random() < 0.6 else (2, 2)
    return b.conv(x, channels, kernel, stride, activation=str(b.rng.choice(["NONE", "RELU6"])),
                  depthwise=1)


def _step(b: GraphBuilder, x: int) -> int:
    kind = b.rng.choice(STEPS)
    channels = int(b.rng.choice(CHANNELS))
    if kind == "conv":
        return b.conv(x, channels, (1, 1))
    if kind == "wide":
        return b.conv(x, channels, (3, 3))
    if kind == "skip":
        inner = b.conv(x, channels, (1, 1))
        other = b.conv(b.conv(inner, channels, depthwise=1), channels, (1, 1))
        return b.add(inner, other)
    if kind in ("max", "average") and min(b.tensors[x].shape[1:3]) > 1:
        return b.pool(b.conv(x, channels, (1, 1)), f"{kind.upper()}_POOL_2D", (2, 2),
                      pad=int(b.rng.integers(2)))
    if kind in ("join", "both"):      # beside another map, or beside what is made of it
        first = b.conv(x, channels, (1, 1))
        second = b.conv(x, 3, (1, 1)) if kind == "join" else b.conv(first, channels, depthwise=1)
        shape, more = b.tensors[first].shape, b.tensors[second].shape[3]
        return b.op("CONCATENATION", (first, second), b.tensor(
            (*shape[:3], channels + more), *b.steps(first)), axis=3)
    if kind == "split":
        return b.split(b.conv(x, 2 * channels, (1, 1)), 2)[1]
    if kind == "table":
        x = b.conv(x, channels, (1, 1))
        return b.op("LEAKY_RELU", (x,), b.tensor(b.tensors[x].shape, 0.4, -9),
                    "litert_double_rounding", alpha=0.3)
    return x
