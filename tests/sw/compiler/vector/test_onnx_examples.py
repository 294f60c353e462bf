"""The ONNX examples, a transformer and a recurrent network: exact, as accurate as stated, on the
accelerator but for their float32 edges, and made by their scripts."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from builders.files.example_scripts import assert_writes_a_model_that_runs

import kaniwa
from kaniwa import golden
from kaniwa.data.inputs import load_inputs, load_labels
from kaniwa.importers import load_model
from kaniwa.verify.litert import verify

MAKERS = ("torch", "onnxscript", "onnxruntime", "sklearn")


@dataclass(frozen=True)
class Example:
    """``right``: of 360; ``tensors`` compared of an inference, and of those that were recorded;
    ``on_host``, with a vector unit; ``kinds``: layers of an operator on the accelerator."""

    script: str
    right: int
    tensors: tuple[int, int]
    on_host: list[str]
    kinds: dict[str, int]


EXAMPLES = {
    "digits_transformer_qdq": Example(
        "digits_transformer_onnx", 344, (55, 46), ["QUANTIZE", "DEQUANTIZE"],
        {"LAYER_NORM": 4, "SOFTMAX": 2, "GELU": 2}),
    "digits_gru_qdq": Example(
        "digits_gru_onnx", 351, (8, 5), ["QUANTIZE", "RESHAPE", "RESHAPE", "DEQUANTIZE"],
        {"GRU": 2, "FULLY_CONNECTED": 1}),
}


@pytest.mark.parametrize("against", ["recorded", "onnxruntime"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_equals_onnx_runtime_at_every_tensor(name: str, against: str, models: Path) -> None:
    if against == "onnxruntime":
        pytest.importorskip("onnxruntime")
    given = models / "inputs" / f"{name}.npz" if against == "onnxruntime" else None
    facts = verify(models / f"{name}.onnx", against, layers=True, limit=12, inputs=given)
    assert (facts["inferences"], facts["mismatches"]) == (12, 0), facts["first_mismatch"]
    assert facts["tensors"] == EXAMPLES[name].tensors[0 if given else 1]
    assert facts["near_ties"] <= 5 and facts["end_to_end"]["differ"] == 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_pytorch_exports_is_on_the_accelerator_but_for_its_edges(name: str,
                                                                      models: Path) -> None:
    example, path = EXAMPLES[name], models / "inputs" / f"{name}.npz"
    program, graph = (make(models / f"{name}.onnx") for make in (
        lambda model: kaniwa.compile(model, "base_vector"), load_model))
    assert [op.kind for op in program.host_ops] == example.on_host
    kinds = [layer.op for layer in program.layers]
    assert {kind: kinds.count(kind) for kind in example.kinds} == example.kinds
    labels, right = load_labels(path), 0
    with kaniwa.open("emulator", target="base_vector") as device:
        session = kaniwa.Session(program, device)
        for number, sample in enumerate(load_inputs(path, program.inputs)):
            (scores,) = golden.run(graph, sample, keep=graph.outputs).values()
            right += int(scores.argmax() == labels[number])
            if number < 20:
                np.testing.assert_array_equal(session.run(sample)["scores"], scores)
    assert (right, len(labels)) == (example.right, 360)


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_products_are_as_many_as_stated(name: str, models: Path) -> None:
    program = kaniwa.compile(models / f"{name}.onnx", "base_vector")
    (entry,) = (m for m in json.loads((models / "MANIFEST.json").read_text())["models"]
                if m["name"] == name)
    assert entry["macs"] == sum(layer.macs for layer in program.layers)


@pytest.mark.slow
@pytest.mark.skipif(not all(map(importlib.util.find_spec, MAKERS)),
                    reason="needs PyTorch, onnxscript, ONNX Runtime and scikit-learn")
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_script_writes_a_model_that_runs(name: str, root: Path, tmp_path: Path) -> None:
    assert_writes_a_model_that_runs(root, EXAMPLES[name].script, tmp_path / f"{name}.onnx", [], 12)
