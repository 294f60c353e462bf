"""Networks of everything on the emulator: exact on several targets, wherever memory is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_mixed import random_mixed
from wide_case import BASE, TWO_LANES

from kaniwa import devices, golden
from kaniwa.compiler import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.session import Session

FOUR_LANES = replace(BASE, requant_lanes=4, out_lanes=8, name="four_lanes")


def assert_two_inferences_exact(seed: int, config: AcceleratorConfig, materialize: bool,
                                outside: str | None) -> None:
    """With the host's parts, and states that go on."""
    graph, rng = random_mixed(seed), np.random.default_rng(seed)
    program = compile(graph, config, materialize=materialize, outside=outside)
    session = Session(program, devices.open("emulator", config, outside=outside))
    state = dict[int, np.ndarray]()
    for _ in range(2):
        x = rng.integers(-128, 128, graph.tensors[graph.inputs[0]].shape).astype(np.int8)
        expected, outputs = golden.run(graph, [x], state=state), session.run([x])
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i])


@pytest.mark.parametrize("config", [BASE, TWO_LANES, FOUR_LANES], ids=lambda config: config.name)
@pytest.mark.parametrize("way", ["all on chip", "materialized", "outside", "short of memory"])
def test_random_networks_are_exact(config: AcceleratorConfig, way: str) -> None:
    if way in ("outside", "short of memory"):
        config = replace(config, memory_bytes=config.memory_bytes // 4)
    for seed in range(100, 105):
        assert_two_inferences_exact(seed, config, way == "materialized",
                                    "ideal" if way == "outside" else None)
