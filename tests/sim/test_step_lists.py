"""Pruned networks whose steps are lists, on simulated cores: golden's results, and as many cycles
as the model says."""

from __future__ import annotations

import dataclasses

import pytest
from builders.exactness import assert_simulated
from builders.networks.random_pruned import random_pruned

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.sim.device.simulated_core import SimDevice

pytestmark = pytest.mark.rtl


@pytest.mark.parametrize("target, entries", [("base", 1024), ("small", 128)])
def test_they_are_the_models_in_as_many_cycles_as_estimated(target: str, entries: int) -> None:
    """On ``small`` the ring of lists is full at times, and layers have several."""
    config = dataclasses.replace(PRESETS[target], step_entries=entries, name="lists")
    listed = 0
    with SimDevice(config, outside="ideal") as device:
        for seed in range(16):
            graph = random_pruned(seed, config)
            program = compile(graph, config, outside="ideal")
            assert_simulated(program, graph, device, seed)
            listed += sum(v["listed"] for v in program.instructions)
    assert listed > 16
