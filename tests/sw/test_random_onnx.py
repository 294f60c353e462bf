"""Random quantised ONNX networks: golden against ONNX Runtime, the emulator against golden."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_compared import Compared
from random_onnx import noise, random_onnx

import kaniwa
from kaniwa import golden

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("first", range(0, 60, 15))
def test_random_networks_equal_onnx_runtime_and_run_everywhere(first: int) -> None:
    compared = Compared()
    for seed in range(first, first + 15):
        data = random_onnx(seed)
        inputs = noise(data, seed)
        graph, _ = compared.add(data, inputs, seed)
        (output,) = graph.outputs
        expected = golden.run(graph, inputs)[output]
        for target in ("nano", "base", "base_vector"):
            program = kaniwa.compile(graph, target)
            with kaniwa.open("emulator", target=target, outside=program.outside) as device:
                (answer,) = kaniwa.Session(program, device).run(inputs).values()
            np.testing.assert_array_equal(answer, expected, f"seed {seed}, {target}")
    compared.assert_few_next_to_ties()
