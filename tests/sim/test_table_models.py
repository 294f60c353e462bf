"""Networks whose layers share tables, on simulated cores: what is loaded stays until it is used."""

from __future__ import annotations

import numpy as np
import pytest
from builders.networks.random_sums import kept_tables, random_sums

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.sim.worlds.random_graphs import random_input


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_tables_stay_from_layer_to_layer(target: str) -> None:
    kept = 0
    with devices.open("sim", target) as device:
        for seed in range(30):
            graph = random_sums(seed)
            program = compile(graph, target)
            session, inputs = Session(program, device), random_input(graph, seed)
            outputs, values = session.run(inputs), golden.run(graph, inputs)
            for i in graph.outputs:
                np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])
            assert session.stats.cycles == estimate(program).cycles
            kept += kept_tables(program)
    assert kept > 6
