"""Networks of one depthwise layer."""

from __future__ import annotations

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph

__all__ = ["KERNELS", "depthwise"]

# Kernels with windows of phases, and strides: two phases, two halves, both.
KERNELS = [((5, 3), 1), ((8, 4), 2), ((3, 5), 1), ((4, 8), 2), ((5, 5), 1), ((5, 5), 2),
           ((7, 7), 1), ((7, 7), 2), ((8, 8), 1), ((6, 7), 3)]


def depthwise(kernel: tuple[int, int], stride: int, columns: int = 12) -> Graph:
    """A layer of 24 channels over 11 rows, padded to as many results."""
    b = GraphBuilder()
    x = b.tensor((1, 11, columns, 24))
    return b.graph((x,), (b.conv(x, 24, kernel, stride=(stride, stride), depthwise=1),))
