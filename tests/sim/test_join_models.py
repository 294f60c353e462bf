"""Networks whose layers write what they join in its place, on simulated cores."""

from __future__ import annotations

import pytest
from builders.exactness import assert_simulated
from builders.networks.random_joins import copies_left_out, random_joins

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.sim.device.simulated_core import SimDevice


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_joined_tensors_are_the_models_in_as_many_cycles_as_estimated(target: str) -> None:
    left_out, outside = 0, None if target == "nano" else "ideal"      # a compact core has none
    with SimDevice(PRESETS[target], outside=outside) as device:
        for seed in range(10):
            graph = random_joins(seed)
            program = compile(graph, target, outside=outside)
            assert_simulated(program, graph, device, seed)
            left_out += copies_left_out(program)
    assert left_out > 10
