"""A model that goes on from one inference to the next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph, State, check

__all__ = ["streaming_convolution"]


def streaming_convolution() -> Graph:
    """Two frames a step, behind the last four of those before, which are a variable."""
    b = GraphBuilder(3)
    x, before = b.tensor((1, 2, 8)), b.tensor((1, 4, 8))
    held = b.op("READ_VARIABLE", (before,), b.tensor((1, 4, 8)))
    frames = b.op("CONCATENATION", (held, x), b.tensor((1, 6, 8)), axis=1)
    following = b.op("STRIDED_SLICE", (frames,), b.tensor((1, 4, 8)), begin=(0, 2, 0),
                     end=(1, 6, 8), stride=(1, 1, 1))
    y = b.conv(b.reshape(frames, (1, 1, 6, 8)), 12, (1, 5), pad=0)
    graph = b.graph((x, before), (y,))
    state = State(before, following, np.full((1, 4, 8), 3, np.int8))
    return check(replace(graph, inputs=(x,), state=(state,)))
