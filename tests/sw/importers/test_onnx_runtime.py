"""Rule ``qdq`` against ONNX Runtime: random models of one operator, graph optimisation off."""

from __future__ import annotations

import numpy as np
import pytest
from builders.files.onnx_compared import Compared
from builders.files.onnx_models import OnnxBuilder
from builders.files.onnx_more_operators import MORE_DRAWS, suppression
from builders.files.onnx_operators import DRAWS
from builders.graphs.inferences import assert_runs_as_golden

from kaniwa.documents.operators_onnx import onnx_operator_table
from kaniwa.errors import UnsupportedError
from kaniwa.importers.onnx.model import HANDLERS, import_onnx
from kaniwa.importers.onnx.table import CASES, OPERATORS
from kaniwa.verify.onnxruntime import OnnxRuntime

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("kind", DRAWS)
def test_random_models_equal_onnx_runtime_but_for_near_ties(kind: str) -> None:
    compared, varied = Compared(), 0
    for seed in range(CASES):
        b = OnnxBuilder(seed, "uint8" if seed % 2 else "int8")
        model = b.model(b.quantized(DRAWS[kind](b), b.scale(0.02, 0.4)))
        _, found = compared.add(model, b.samples(), seed)
        varied += np.unique(found[-1].golden).size > 2
    compared.assert_few_next_to_ties()
    assert varied > CASES // 5


@pytest.mark.parametrize("kind", MORE_DRAWS)
def test_programs_of_rarer_operators_equal_golden(kind: str) -> None:
    b = OnnxBuilder(1)
    model = b.model(b.quantized(DRAWS[kind](b), 0.1))
    assert_runs_as_golden(import_onnx(model, "test.onnx"), "base_vector", b.samples(), kind)


def test_rows_of_boxes_that_are_left_out_are_minus_one() -> None:
    fewer = 0
    for seed in range(CASES):
        b = OnnxBuilder(seed)
        graph, found = Compared().add(b.model(suppression(b, 0.1), dtype="int64"), b.samples())
        assert graph.tensors[graph.outputs[0]].shape == (8, 3)
        fewer += bool((found[-1].golden == -1).any())
    assert fewer > CASES // 2


def test_every_operator_is_listed_and_compared() -> None:
    assert CASES >= 20
    assert {op.kind for op in OPERATORS} == set(HANDLERS) - {"Constant", "Dropout"}
    assert {op.models for op in OPERATORS} <= set(DRAWS)
    rows = {row["operator"]: row for row in onnx_operator_table()}
    assert rows["Conv"]["where"] == rows["Sigmoid"]["where"] == "array"
    assert rows["Softmax"]["where"] == "vector" and rows["Reshape"]["where"] == "none"
    assert all(row["cases"] == CASES for row in rows.values())


def test_what_onnx_runtime_refuses_when_it_runs_is_an_error_in_a_line() -> None:
    b = OnnxBuilder(1)
    bias = b.constant(np.zeros(1, np.float32))
    model = b.model(b.node("Conv", [b.activation((1, 2, 4, 4)), b.weights((3, 2, 1, 1)), bias]))
    with pytest.raises(UnsupportedError, match="^x.onnx: ONNX Runtime refuses this input: .*bias"):
        OnnxRuntime(model, "x.onnx").run(b.samples())
