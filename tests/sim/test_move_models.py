"""Repeats, blocks and gathers between layers, on simulated cores."""

from __future__ import annotations

import pytest
from builders.exactness import assert_simulated
from builders.networks.random_moves import random_moves

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.sim.device.simulated_core import SimDevice


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_moves_are_the_models_in_as_many_cycles_as_estimated(target: str) -> None:
    outside = None if target == "nano" else "ideal"      # a compact core has none
    with SimDevice(PRESETS[target], outside=outside) as device:
        for seed in range(12):
            graph = random_moves(seed)
            program = compile(graph, target, outside=outside)
            assert not program.host_ops
            assert_simulated(program, graph, device, seed)
