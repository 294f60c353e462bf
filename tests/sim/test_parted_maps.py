"""Maps in parts of their channels on the simulated core: equal to golden, in the cycles of the
model."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.inverted_bottleneck import inverted_bottleneck

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.session import Session
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import random_input

pytestmark = pytest.mark.rtl


@pytest.mark.parametrize("target", ["base", "large"])
def test_bottlenecks_equal_golden_and_the_cycle_model(target: str) -> None:
    with SimDevice(PRESETS[target], outside="ideal") as device:
        for size, channels, kernel, stride in ((14, 672, 5, 1), (14, 672, 5, 2), (14, 768, 3, 1)):
            graph = inverted_bottleneck(size, channels, kernel, stride)
            program, inputs = compile(graph, target, outside="ideal"), random_input(graph, 1)
            assert sum(t.axes is not None for t in program.tensors) == 2
            session = Session(program, device)
            (output,) = session.run(inputs).values()
            assert np.array_equal(output, golden.run(graph, inputs)[graph.outputs[0]]), channels
            assert session.stats.cycles == estimate(program).cycles, channels
