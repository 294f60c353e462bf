"""Networks whose layers write what they join in its place, on simulated cores."""

from __future__ import annotations

import numpy as np
import pytest
from builders.networks.random_joins import copies_left_out, random_joins

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.session import Session
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import random_input


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_joined_tensors_are_the_models_in_as_many_cycles_as_estimated(target: str) -> None:
    left_out, outside = 0, None if target == "nano" else "ideal"      # a compact core has none
    with SimDevice(PRESETS[target], outside=outside) as device:
        for seed in range(10):
            graph = random_joins(seed)
            program = compile(graph, target, outside=outside)
            session, inputs = Session(program, device), random_input(graph, seed)
            outputs, values = session.run(inputs), golden.run(graph, inputs)
            for i in graph.outputs:
                np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])
            assert session.stats.cycles == estimate(program).cycles
            left_out += copies_left_out(program)
    assert left_out > 10
