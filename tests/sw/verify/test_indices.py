"""Inputs that ``verify`` draws: indices lie within the rows of their tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder
from builders.files.runtime_models import TFLITE_CASES

from kaniwa.errors import UnsupportedError
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.verify.indices import row_counts, within_tables
from kaniwa.verify.litert import verify


def rows_of(b: OnnxBuilder, ids: str, rows: int) -> str:
    return b.quantized(b.node("Gather", [b.weights((rows, 4)), ids]), 0.02)


def embedding(b: OnnxBuilder) -> str:
    """Two tables, one of which takes a part of the ids."""
    ids = b.node("Cast", [b.input((1, 6), "int32")], to=7)
    part = b.node("Slice", [ids, *(b.constant(np.array([n])) for n in (0, 3, 1))])
    x = b.quantized(b.node("Concat", [rows_of(b, ids, 9), rows_of(b, part, 5)], axis=1), 0.02)
    return b.quantized(b.node("MatMul", [x, b.weights((4, 3))]), 0.1)


def elements(b: OnnxBuilder) -> str:
    places = b.input((1, 2), "int64")
    return b.node("GatherElements", [b.activation((1, 8)), places], axis=1)


def cells(b: OnnxBuilder) -> str:
    return b.node("GatherND", [b.activation((7, 3, 4)), b.input((5, 2), "int64")])


@pytest.mark.parametrize(("draw", "rows"), [(embedding, 5), (elements, 8), (cells, 3)])
def test_indices_of_onnx_models_are_rows_of_their_smallest_table(draw, rows: int,
                                                                tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    b = OnnxBuilder(1)
    data = b.model(draw(b))
    graph = import_onnx(data, "m.onnx")
    assert list(row_counts(graph).values()) == [rows]
    (tmp_path / "m.onnx").write_bytes(data)
    found = verify(tmp_path / "m.onnx", "onnxruntime", layers=True)
    assert found["inputs"] == "16 seeded" and not found["mismatches"]


def test_indices_of_tflite_models_are_rows_of_their_table(tmp_path: Path) -> None:
    case = next(c for c in TFLITE_CASES if c.kind == "EMBEDDING_LOOKUP")
    data = case.model()
    graph = import_tflite(data, "m.tflite")
    (own,) = row_counts(graph)
    (tmp_path / "m.tflite").write_bytes(data)
    assert verify(tmp_path / "m.tflite", "litert")["inferences"] == 16
    name = graph.tensors[own].name
    (sample,) = within_tables(graph, [{name: np.array([-1, 99, 1 << 30], np.int32)}])
    assert 0 <= sample[name].min() and sample[name].max() < row_counts(graph)[own]


def test_what_a_model_does_not_take_ends_in_a_line_with_a_way_out(tmp_path: Path) -> None:
    """Ids that are added to before they take rows: their range is nowhere in the graph."""
    pytest.importorskip("onnxruntime")
    b = OnnxBuilder(2)
    ids = b.node("Mul", [b.input((1, 6), "int64"), b.constant(np.array([[2]]))])
    (tmp_path / "m.onnx").write_bytes(b.model(rows_of(b, ids, 9)))
    with pytest.raises(UnsupportedError, match=r"refuses this input: .*; give others with "
                                               r"--inputs X\.npz$") as caught:
        verify(tmp_path / "m.onnx", "onnxruntime")
    assert "\n" not in str(caught.value)
