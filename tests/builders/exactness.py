"""Programs whose every stored tensor equals golden's, and simulated cores whose results do."""

from __future__ import annotations

import numpy as np

from kaniwa import golden
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.program.program import Program
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff

__all__ = ["assert_equals_golden", "assert_simulated", "kinds"]


def assert_equals_golden(program: Program, graph: Graph, inputs: int = 2) -> None:
    """The emulator's tensors are golden's, for some random inputs."""
    for seed in range(inputs):
        found = diff(program, ["golden", "emulator"], random_input(graph, seed))
        assert found["first_difference"] is None, seed


def assert_simulated(program: Program, graph: Graph, device: SimDevice, seed: int) -> None:
    """The core's results are golden's, in as many cycles as estimated."""
    session, inputs = Session(program, device), random_input(graph, seed)
    outputs, values = session.run(inputs), golden.run(graph, inputs)
    for i in graph.outputs:
        np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])
    assert session.stats.cycles == estimate(program).cycles


def kinds(program: Program) -> list[str]:
    """The operators of each layer."""
    return [layer.op for layer in program.layers]
