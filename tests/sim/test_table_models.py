"""Networks whose layers share tables, on simulated cores: what is loaded stays until it is used."""

from __future__ import annotations

import pytest
from builders.exactness import assert_simulated
from builders.networks.random_sums import kept_tables, random_sums

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.sim.device.simulated_core import SimDevice


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_tables_stay_from_layer_to_layer(target: str) -> None:
    kept = 0
    with SimDevice(PRESETS[target]) as device:
        for seed in range(52):
            graph = random_sums(seed)
            program = compile(graph, target)
            assert_simulated(program, graph, device, seed)
            kept += kept_tables(program)
    assert kept > 10
