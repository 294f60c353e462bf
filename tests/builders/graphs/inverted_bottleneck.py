"""Networks of one inverted bottleneck: dense 1 x 1, depthwise, dense 1 x 1."""

from __future__ import annotations

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph

__all__ = ["inverted_bottleneck"]


def inverted_bottleneck(size: int, channels: int, kernel: int, stride: int = 1, outer: int = 16,
                        heads: int = 1) -> Graph:
    """``channels`` between ``outer`` ones, of a map of ``size`` x ``size``; with two ``heads``, two
    layers read the depthwise result."""
    b = GraphBuilder()
    x = b.tensor((1, size, size, outer))
    inner = b.conv(b.conv(x, channels, (1, 1)), channels, (kernel, kernel),
                   stride=(stride, stride), depthwise=1)
    return b.graph((x,), tuple(b.conv(inner, outer, (1, 1)) for _ in range(heads)))
