"""Random models with state of every kind: moved, calculated, kept, exchanged, given as output."""

from __future__ import annotations

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph, State, check

__all__ = ["random_states"]


def random_states(seed: int) -> Graph:
    """One to three states of [1, T, C], read as they are or through READ_VARIABLE; with operators
    of the host before, between and behind those of the accelerator at times."""
    b = GraphBuilder(seed)
    channels, times, frames = int(b.rng.choice([4, 8, 12])), *map(int, b.rng.integers(2, 6, 2))
    x = b.tensor((1, frames, channels))
    held = [b.tensor((1, times, channels)) for _ in range(b.rng.integers(1, 4))]
    followers, results = [], []
    for state in held:
        now = state if b.rng.random() < 0.5 else b.op(
            "READ_VARIABLE", (state,), b.tensor((1, times, channels)))
        follower, result = _followed(b, x, now, int(b.rng.integers(6)))
        followers.append(follower)
        results.append(result)
    if b.rng.random() < 0.3:
        followers.reverse()
    outputs = [b.elementwise("ADD", x, x, scale=1.1)]
    for result in results:
        rows = b.tensors[result].shape[1]
        made = b.conv(b.reshape(result, (1, 1, rows, channels)), int(b.rng.choice([8, 20])), (1, 1))
        outputs.append(made if b.rng.random() < 0.7 else b.conv(b.softmax(made), 4, (1, 1)))
    if b.rng.random() < 0.2:
        outputs.append(followers[0])
    graph = b.graph((x, *held), tuple(dict.fromkeys(outputs)))
    states = tuple(
        State(state, follower, b.rng.integers(-128, 128, (1, times, channels)).astype(np.int8))
        for state, follower in zip(held, followers, strict=True))
    return check(Graph("states", graph.tensors, graph.ops, (x,), graph.outputs, "0" * 64,
                       state=states))


def _followed(b: GraphBuilder, x: int, now: int, kind: int) -> tuple[int, int]:
    """What follows upon ``now``, and what an output is made of."""
    _, times, channels = b.tensors[now].shape
    frames = b.tensors[x].shape[1]
    if kind == 0:       # a window
        both = b.op("CONCATENATION", (now, x), b.tensor((1, times + frames, channels)), axis=1)
        return b.op("STRIDED_SLICE", (both,), b.tensor((1, times, channels)), begin=(0, frames, 0),
                    end=(1, times + frames, channels), stride=(1, 1, 1)), both
    if kind == 1:       # by the operator that reads it
        return b.elementwise("ADD", now, now, scale=0.5, zero_point=3), now
    if kind in (2, 5):       # an ADD in place, behind the host or not
        made = b.conv(b.reshape(now, (1, 1, times, channels)), channels, (1, 1))
        made = b.conv(b.softmax(made), channels, (1, 1)) if kind == 5 else made
        made = b.elementwise("ADD", b.reshape(made, (1, times, channels)), now, scale=0.5,
                             zero_point=3)
        return made, made
    if kind == 3:       # it stays what it is
        return now, now
    scaled = b.elementwise("MUL", now, b.constant(int(b.rng.integers(-100, 100)), 0.02, 0),
                           scale=0.5, zero_point=3)
    return b.elementwise("SUB", scaled, now, scale=0.5, zero_point=3), scaled
