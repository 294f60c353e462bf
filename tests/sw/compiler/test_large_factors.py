"""Products and means that are scaled up: exact, and on the accelerator."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.inferences import assert_runs_as_golden
from builders.operator_cases import Cases
from builders.operator_cases.cases import values

from kaniwa.importers.tflite.importer import import_tflite


def _runs(cases: Cases, target: str, kind: str) -> None:
    graph = import_tflite(cases.builder.build(cases.inputs, cases.outputs), "cases.tflite")
    inputs = {graph.tensors[i].name: x for i, x in zip(graph.inputs, cases.arrays, strict=True)}
    program = assert_runs_as_golden(graph, target, inputs)
    assert [layer.op for layer in program.layers] == [kind]


@pytest.mark.parametrize("bits", [-1, 0, 3, 10])
def test_a_product_may_be_scaled_by_more_than_a_quarter(bits: int) -> None:
    rng, cases = np.random.default_rng(bits + 1), Cases()
    a, b = (cases.given(values(rng, shape), scale=0.25, zero_point=3)
            for shape in ((2, 3, 8), (2, 8, 5)))
    y = cases.result((2, 3, 5), scale=0.0625 * 2.0**-bits * 0.77, zero_point=4)
    cases.op("BATCH_MATMUL", [a, b], [y], AdjX=False, AdjY=False)
    _runs(cases, "base_vector", "BATCH_MATMUL")


@pytest.mark.parametrize("bits", [9, 14, 20])
def test_a_mean_may_be_scaled_by_more_than_256(bits: int) -> None:
    rng, cases = np.random.default_rng(bits), Cases()
    x = cases.given(values(rng, (1, 8, 8, 5)), scale=0.5, zero_point=-2)
    y = cases.result((1, 5), scale=0.5 * 2.0**-bits * 0.77, zero_point=1)
    cases.op("MEAN", [x, cases.numbers([1, 2])], [y], KeepDims=False)
    _runs(cases, "base", "MEAN")
