"""Legacy uint8 on simulated cores: equal to golden, and as many cycles as the model says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.graphs.uint8_graphs import convolution, uint8_function

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import random_input

pytestmark = pytest.mark.rtl
CORAL = "coral_mbv1_025_128_u8.tflite"
# Zero points of weights; windows met twice, of blocks at either half of a word; a window beyond
# COLUMN's; a stride; functions.
GRAPHS: dict[str, Graph] = {
    "dense": convolution(40, 160, {33: 0}),
    "patch": convolution(8, 90, {3: 255}, channels_in=3),
    "columns": convolution(40, 160, {3: 0, 12: 0, 35: 0}, depthwise=True),
    "columns of stride 2": convolution(24, 90, {9: 255}, depthwise=True, stride=(2, 2)),
    "large window": convolution(24, 160, {9: 0}, depthwise=True, kernel=(5, 5)),
    "far weights": convolution(16, 0, {9: 255}, depthwise=True),
    **{kind: uint8_function(kind) for kind in ("ADD", "MUL", "QUANTIZE", "LOGISTIC")},
}


@pytest.mark.parametrize("target", ["base", "small"])
def test_layers_equal_golden_and_the_cycle_model(target: str) -> None:
    with SimDevice(PRESETS[target]) as device:
        for name, graph in GRAPHS.items():
            program = compile(graph, target, require_accelerator=True)
            session, inputs = Session(program, device), random_input(graph, 1)
            output, = session.run(inputs).values()
            expected = golden.run(graph, inputs)[graph.outputs[0]]
            assert np.array_equal(output, expected), name
            assert session.stats.cycles == estimate(program).cycles, name


@pytest.mark.long
@pytest.mark.parametrize("target, most", [("base", 160_000), ("large", 125_000)])
def test_the_legacy_mobilenet_equals_golden_and_the_cycle_model(
        target: str, most: int, models: Path) -> None:
    graph = load_model(models / CORAL)
    program = compile(graph, target, outside="ideal")
    sample = recorded_inputs(models / CORAL, program.inputs)[0]
    with SimDevice(PRESETS[target], outside="ideal") as device:
        session = Session(program, device)
        output, = session.run(sample).values()
        assert np.array_equal(output, golden.run(graph, sample)[graph.outputs[0]])
        assert session.stats.cycles == estimate(program).cycles <= most
