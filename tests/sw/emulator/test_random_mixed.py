"""Networks of everything on the emulator: exact on several targets, wherever memory is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders.graphs.inferences import assert_equal_golden, noise
from builders.graphs.wide_case import BASE, TWO_LANES
from builders.networks.random_mixed import random_mixed

from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.driver import devices
from kaniwa.driver.session import Session

FOUR_LANES = replace(BASE, requant_lanes=4, out_lanes=8, name="four_lanes")


@pytest.mark.parametrize("config", [BASE, TWO_LANES, FOUR_LANES], ids=lambda config: config.name)
@pytest.mark.parametrize("way", ["all on chip", "materialized", "outside", "short of memory"])
def test_random_networks_are_exact(config: AcceleratorConfig, way: str) -> None:
    if way in ("outside", "short of memory"):
        config = replace(config, memory_bytes=config.memory_bytes // 4)
    for seed in range(100, 105):
        graph, outside = random_mixed(seed), "ideal" if way == "outside" else None
        program = compile(graph, config, materialize=way == "materialized", outside=outside)
        session = Session(program, devices.open("emulator", config, outside=outside))
        assert_equal_golden(graph, session, noise(graph, 2, seed), f"seed {seed}")
