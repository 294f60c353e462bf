"""``verify``: equal where it is, the first difference named where it is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.files import tflite_layers as layers

from kaniwa import golden
from kaniwa.errors import InputError, UnsupportedError
from kaniwa.verify.litert import LiteRT, verify

NAME = "mlperf_ic_resnet8"


def off_by_one(monkeypatch: pytest.MonkeyPatch, op_index: int) -> None:
    """Make golden wrong by one in the last element of one operator."""
    sound = golden.run_op

    def wrong(graph: Any, op: Any, operands: Any) -> tuple[np.ndarray, ...]:
        values = sound(graph, op, operands)
        if op.source_index == op_index:
            values = tuple(value.copy() for value in values)
            values[0].flat[-1] ^= 1
        return values

    monkeypatch.setattr(golden, "run_op", wrong)


def test_resnet8_equals_litert_at_every_tensor(models: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    seen = []
    facts = verify(models / f"{NAME}.tflite", layers=True, progress=seen.append)
    assert facts["reference"].startswith("LiteRT ") and "BUILTIN_REF" in facts["reference"]
    assert facts | {"reference": ""} == {
        "reference": "",
        "inputs": "recorded vectors",
        "inferences": 9,
        "tensors": 16,
        "mismatches": 0,
        "first_mismatch": None,
        "mismatches_by_operator": {},
    }
    assert seen == [f"{i} of 9 inferences" for i in range(1, 10)]


def test_without_recorded_vectors_seeded_inputs_are_used(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    content, _ = layers.random_elementwise(np.random.default_rng(1), "ADD")
    (tmp_path / "layer.tflite").write_bytes(content)
    facts = verify(tmp_path / "layer.tflite")
    assert (facts["inputs"], facts["inferences"], facts["mismatches"]) == ("16 seeded", 16, 0)


def test_a_limit_and_uint8_data_are_taken(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    with np.load(models / "inputs/resnet8_ten.npz") as arrays:
        pixels = arrays["input_1_int8"].view(np.uint8) ^ 128
    np.savez(tmp_path / "a.npz", x=pixels)
    model = models / f"{NAME}.tflite"
    facts = verify(model, inputs=tmp_path / "a.npz", uint8=True, limit=3)
    assert (facts["inferences"], facts["mismatches"]) == (3, 0)
    assert verify(model, "recorded", limit=2)["inferences"] == 2
    with pytest.raises(InputError, match="limit must be at least 1, not 0"):
        verify(model, limit=0)


def test_litert_takes_a_path_and_inputs_in_order(models: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    litert = LiteRT(models / f"{NAME}.tflite")
    with np.load(models / "inputs/resnet8_ten.npz") as arrays:
        outputs = litert.run([arrays["input_1_int8"][:1]])
        np.testing.assert_array_equal(outputs[litert.graph.outputs[0]], arrays["expected"][:1])


def test_inputs_of_a_file_are_used(models: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = models / "inputs/resnet8_ten.npz"
    facts = verify(models / f"{NAME}.tflite", inputs=path)
    assert (facts["inputs"], facts["inferences"], facts["tensors"]) == (str(path), 10, 1)
    assert facts["mismatches"] == 0


@pytest.mark.parametrize("against", ["litert", "recorded"])
def test_the_first_difference_is_named(
    models: Path, monkeypatch: pytest.MonkeyPatch, against: str
) -> None:
    if against == "litert":
        pytest.importorskip("ai_edge_litert")
    off_by_one(monkeypatch, 13)
    facts = verify(models / f"{NAME}.tflite", against, layers=True)
    first = facts["first_mismatch"]
    assert facts["mismatches"] >= 1
    assert (first["inference"], first["op"], first["index"]) == (0, "op 13 RESHAPE", [0, 63])
    assert first["golden"] == first["reference"] ^ 1
    json.dumps(facts)


def test_a_digest_that_differs_is_a_mismatch(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Tensors that were recorded as a digest alone are compared too."""
    shutil.copytree(models / "refs", tmp_path / "refs")
    shutil.copy(models / f"{NAME}.tflite", tmp_path)
    arrays = dict(np.load(tmp_path / f"refs/{NAME}.npz"))
    np.savez(tmp_path / f"refs/{NAME}.npz", **{k: v for k, v in arrays.items() if k[0] != "t"})
    assert verify(tmp_path / f"{NAME}.tflite", "recorded", layers=True)["mismatches"] == 0
    off_by_one(monkeypatch, 0)
    first = verify(tmp_path / f"{NAME}.tflite", "recorded", layers=True)["first_mismatch"]
    assert first["op"] == "op 0 CONV_2D" and first["golden"].startswith("sha256 ")


def test_vectors_of_another_model_are_refused(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "refs", tmp_path / "refs")
    facts = json.loads((tmp_path / f"refs/{NAME}.json").read_text()) | {"model_sha256": "0" * 64}
    (tmp_path / f"refs/{NAME}.json").write_text(json.dumps(facts))
    shutil.copy(models / f"{NAME}.tflite", tmp_path)
    with pytest.raises(InputError) as error:
        verify(tmp_path / f"{NAME}.tflite", "recorded")
    assert str(error.value) == f"{NAME}.npz: recorded from another model file than {NAME}.tflite"
    (tmp_path / f"refs/{NAME}.json").write_text("[]")
    with pytest.raises(InputError, match=f"{NAME}.json: not a description of recorded vectors"):
        verify(tmp_path / f"{NAME}.tflite", "recorded")


def test_unknown_references_are_refused(models: Path) -> None:
    for file, against, others in (
        (f"{NAME}.tflite", "onnxruntime", "litert, litert-optimized"),
        (f"{NAME}.tflite", "tf", "litert, litert-optimized"),
        ("onnx_mlperf_ic_qdq.onnx", "litert", "onnxruntime, onnxruntime-optimized"),
    ):
        with pytest.raises(UnsupportedError) as error:
            verify(models / file, against)
        assert str(error.value) == (
            f"{file}: cannot be compared with '{against}'; use {others} or recorded"
        )


def test_onnx_models_are_compared_operator_by_operator(models: Path) -> None:
    model = models / "onnx_mlperf_ic_qdq.onnx"
    recorded = verify(model, "recorded", layers=True)
    assert recorded["reference"].startswith("ONNX Runtime 1.31.1, CPUExecutionProvider, graph opt")
    assert (recorded["tensors"], recorded["mismatches"]) == (16, 0)
    assert recorded["near_ties"] == 0
    assert recorded["end_to_end"]["elements"] == 80


def test_onnx_models_are_compared_with_onnx_runtime(models: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = models / "onnx_mlperf_ic_qdq.onnx"
    values = verify(model, "onnxruntime", layers=True)
    assert "graph optimisation off" in values["reference"]
    assert (values["tensors"], values["mismatches"], values["inferences"]) == (16, 0, 8)
    assert 0 < values["near_ties"] < 20
    optimized = verify(model, "onnxruntime-optimized", limit=2)
    assert "default graph optimisation" in optimized["reference"]
    assert optimized["tensors"] == 1
