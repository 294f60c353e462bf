"""Random quantised ONNX networks: golden against ONNX Runtime, the emulator against golden."""

from __future__ import annotations

import numpy as np
import pytest
from random_onnx import random_onnx

import kaniwa
from kaniwa import golden
from kaniwa.importers.onnx.model import read_graph
from kaniwa.reference_onnx import OnnxRuntime, differences

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("first", range(0, 60, 15))
def test_random_networks_equal_onnx_runtime_and_run_everywhere(first: int) -> None:
    near = compared = 0
    for seed in range(first, first + 15):
        data = random_onnx(seed)
        imported = read_graph(data, "random.onnx")
        graph, rng = imported.graph, np.random.default_rng(seed)
        inputs = {graph.tensors[i].name: rng.normal(0, 2, graph.tensors[i].shape).astype(np.float32)
                  for i in graph.inputs}
        names = {origin.name for origin in imported.origins.values()}
        given = [inputs[graph.tensors[i].name] for i in graph.inputs]
        for found in differences(imported, given, OnnxRuntime(data, "random.onnx", names).run(
                inputs)):
            assert not found.wrong.any(), (seed, found.op)
            near += int(found.near_tie.sum())
            compared += found.golden.size
        (output,) = graph.outputs
        expected = golden.run(graph, inputs)[output]
        for target in ("nano", "base", "base_vector"):
            program = kaniwa.compile(graph, target)
            with kaniwa.open("emulator", target=target, outside=program.outside) as device:
                (answer,) = kaniwa.Session(program, device).run(inputs).values()
            np.testing.assert_array_equal(answer, expected, f"seed {seed}, {target}")
    assert near <= compared // 500
