"""SOFTMAX of bytes over more than 511 values: exact, or an error where LiteRT is undefined."""

import numpy as np
import pytest
from builders.operator_cases.cases import Cases

from kaniwa import golden
from kaniwa.errors import ModelError
from kaniwa.importers.tflite.importer import import_tflite


def thousand(array: np.ndarray) -> Cases:
    cases = Cases()
    x = cases.given(array, scale=0.1, zero_point=128)
    cases.op("SOFTMAX", [x], [cases.result(array.shape, "uint8", scale=1 / 256, zero_point=0)],
             Beta=1.0)
    return cases


def test_a_thousand_and_one_classes_equal_litert() -> None:
    pytest.importorskip("ai_edge_litert")
    from builders.operator_cases.cases import both

    rng = np.random.default_rng(3)
    (ours,), (theirs,) = both(thousand(rng.integers(0, 256, (3, 1001)).astype(np.uint8)))
    assert np.array_equal(ours, theirs) and np.unique(ours).size > 2


def test_where_the_reference_is_undefined_golden_says_so() -> None:
    cases = thousand(np.full((1, 1001), 7, np.uint8))
    graph = import_tflite(cases.builder.build(cases.inputs, cases.outputs), "m.tflite")
    with pytest.raises(ModelError) as error:
        golden.run(graph, cases.arrays)
    assert str(error.value) == (
        "m.tflite: op 0 SOFTMAX 't1': more than 511 values are near the largest, for which the "
        "reference is undefined")
