"""Maps with gaps on the simulated core: equal to golden, and as many cycles as the model says."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.odd_channels import noise, odd_network

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.session import Session
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import random_input

pytestmark = pytest.mark.rtl


def test_random_networks_equal_golden_and_the_cycle_model() -> None:
    maps = 0
    with SimDevice(PRESETS["base"]) as device:
        for seed in range(100, 116):
            graph = odd_network(seed, unsigned=seed % 2 == 1)
            program, inputs = compile(graph, "base", require_accelerator=True), random_input(
                graph, seed)
            device.write(0, noise(program.local_bytes, seed))
            session = Session(program, device)
            session.run(inputs)
            expected = golden.run(graph, inputs)
            for tensor in program.tensors:
                if tensor.address is not None and tensor.overwritten is None:
                    value = tensor.stored(expected[tensor.id])
                    assert np.array_equal(session.read(tensor), value), (seed, tensor.name)
            assert session.stats.cycles == estimate(program).cycles, seed
            maps += sum(t.axes is not None for t in program.tensors)
    assert maps > 16
