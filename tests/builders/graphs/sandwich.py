"""A model of two parts for the device, with the host between them and a branch around it."""

from __future__ import annotations

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph

__all__ = ["sandwich"]


def sandwich() -> Graph:
    """A SOFTMAX between convolutions, with a branch around it, and one behind all."""
    b = GraphBuilder(1)
    x = b.tensor((1, 6, 6, 3))
    u = b.conv(x, 8)
    v = b.conv(b.softmax(b.conv(u, 4)), 8)
    y = b.add(v, u)
    return b.graph((x,), (b.softmax(b.conv(y, 5)), v))
