"""Grouped convolutions, transpositions in several copies, and channels that are cut apart, on
simulated cores."""

from __future__ import annotations

import pytest
from builders.exactness import assert_simulated
from builders.graphs.graph_builder import GraphBuilder
from builders.networks.random_cuts import random_cuts
from builders.networks.random_groups import random_groups

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.graph import Graph
from kaniwa.sim.device.simulated_core import SimDevice


def turned(seed: int) -> Graph:
    """A map whose rows, columns and channels are in the reverse order, and a layer of that."""
    b = GraphBuilder(seed)
    rows, columns, channels = (int(n) for n in b.rng.integers(2, 12, 3))
    x = b.tensor((1, rows, columns, channels))
    y = b.op("TRANSPOSE", (b.conv(x, channels, (1, 1)),), b.tensor(
        (1, channels, columns, rows), 2.0, -4), permutation=(0, 3, 2, 1))
    return b.graph((x,), (b.conv(y, 8, (1, 1)),))


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_they_are_the_models_in_as_many_cycles_as_estimated(target: str) -> None:
    outside = None if target == "nano" else "ideal"      # a compact core has none
    with SimDevice(PRESETS[target], outside=outside) as device:
        for seed in range(6):
            for graph in (random_groups(seed), turned(seed), random_cuts(seed)):
                program = compile(graph, target, outside=outside)
                assert not program.host_ops
                assert_simulated(program, graph, device, seed)
