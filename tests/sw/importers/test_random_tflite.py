"""Random TFLite networks: golden against LiteRT, to the bit, and the emulator against golden."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.inferences import assert_runs_as_golden
from builders.networks.random_tflite import random_tflite

from kaniwa import golden
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.verify.litert import LiteRT

pytest.importorskip("ai_edge_litert")

TARGETS = ("base", "nano", "base_vector")


def assert_exact(seed: int) -> int:
    """Golden's outputs are LiteRT's, and the target's are golden's; how many have several values.
    """
    content, inputs = random_tflite(seed)
    graph = import_tflite(content, f"network{seed}.tflite")
    ours = golden.run(graph, inputs, keep=graph.outputs)
    theirs = LiteRT(content, graph).run(inputs)
    for i in graph.outputs:
        # Bytes, for a NaN is none but equal to itself in a comparison of numbers.
        assert ours[i].tobytes() == theirs[i].tobytes(), (seed, graph.tensors[i].name)
    names = [graph.tensors[i].name for i in graph.inputs]
    assert_runs_as_golden(graph, TARGETS[seed % 3], dict(zip(names, inputs, strict=True)),
                          f"seed {seed}")
    return sum(np.unique(ours[i]).size > 2 for i in graph.outputs)


@pytest.mark.parametrize("first", range(0, 24, 8))
def test_random_networks_equal_litert_and_run_everywhere(first: int) -> None:
    assert sum(assert_exact(seed) for seed in range(first, first + 8)) > 8


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, 400, 20))
def test_400_random_networks_equal_litert_and_none_is_refused(first: int) -> None:
    assert sum(assert_exact(seed) for seed in range(first, first + 20)) > 20
