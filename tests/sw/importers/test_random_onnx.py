"""Random quantised ONNX networks: golden against ONNX Runtime, the emulator against golden."""

from __future__ import annotations

import pytest
from builders.files.onnx_compared import Compared
from builders.graphs.inferences import assert_runs_as_golden
from builders.networks.random_onnx import noise, random_onnx

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("first", range(0, 60, 15))
def test_random_networks_equal_onnx_runtime_and_run_everywhere(first: int) -> None:
    compared = Compared()
    for seed in range(first, first + 15):
        data = random_onnx(seed)
        inputs = noise(data, seed)
        graph, _ = compared.add(data, inputs, seed)
        for target in ("nano", "base", "base_vector"):
            assert_runs_as_golden(graph, target, inputs, f"seed {seed}, {target}")
    compared.assert_few_next_to_ties()
