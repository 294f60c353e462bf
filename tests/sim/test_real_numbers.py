"""Layers that stand for real numbers of a framework, on simulated cores: slopes that quantisers
left in float32, sums with halves, and biases at the ends of int32."""

from __future__ import annotations

import numpy as np
import pytest
from builders.exactness import assert_simulated
from builders.files.islands import slopes_between
from builders.graphs.large_biases import large_biases

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.sim.device.simulated_core import SimDevice

SLOPES = np.array([0.25, 0.5, -0.39282227, 0.1], np.float32)


@pytest.mark.parametrize("target", ["base", "nano"])
def test_results_are_the_models_in_as_many_cycles_as_estimated(target: str) -> None:
    graphs = [import_tflite(slopes_between(SLOPES, (0.7, 0.01), (-20, 127)), "slopes.tflite"),
              large_biases("qdq", steps=0.003), large_biases("qdq", True, 0.003)]
    with SimDevice(PRESETS[target], outside=None) as device:
        for seed, graph in enumerate(graphs):
            program = compile(graph, target, require_accelerator=True)
            assert_simulated(program, graph, device, seed)
