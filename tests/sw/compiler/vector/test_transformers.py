"""The transformer examples of LiteRT: exact, as accurate as stated, and made by their scripts."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from builders.files.example_scripts import assert_writes_a_model_that_runs

import kaniwa
from kaniwa import golden
from kaniwa.data.inputs import load_inputs, load_labels
from kaniwa.importers import load_model
from kaniwa.verify.litert import verify

# name: (right, of), tensors compared of each inference
EXAMPLES = {"digits_transformer": (341, 360), "keyword_transformer": (177, 200),
            "digits_transformer_int16": (347, 360)}
TENSORS = {"digits_transformer": 87, "keyword_transformer": 97, "digits_transformer_int16": 87}
# Products by constants (embedding and dense layers), and of two activations.
PRODUCTS = {"digits_transformer": (264_512, 32_768), "keyword_transformer": (1_619_712, 147_456),
            "digits_transformer_int16": (264_512, 32_768)}
MAKERS = ("litert_torch", "ai_edge_quantizer", "sklearn")


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_equals_the_recorded_value_of_every_tensor(name: str, models: Path) -> None:
    facts = verify(models / f"{name}.tflite", "recorded", layers=True)
    assert facts["mismatches"] == 0, facts["first_mismatch"]
    recorded = json.loads((models / "refs" / f"{name}.json").read_text())["tensors"]
    graph = load_model(models / f"{name}.tflite")
    made = [graph.tensors[i].source_index for op in graph.ops for i in op.outputs]
    assert len(made) == TENSORS[name] and {str(index) for index in made} <= recorded.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_equals_litert_at_every_tensor(name: str, models: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    facts = verify(models / f"{name}.tflite", "litert", layers=True, limit=4,
                   inputs=models / "inputs" / f"{name}.npz")
    assert (facts["inferences"], facts["tensors"], facts["mismatches"]) == (4, TENSORS[name], 0)


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_gives_the_answers_of_litert_and_the_stated_accuracy(name: str,
                                                                   models: Path) -> None:
    graph = load_model(models / f"{name}.tflite")
    path = models / "inputs" / f"{name}.npz"
    (output,) = graph.outputs
    answers = np.concatenate([
        golden.run(graph, sample, keep=[output])[output]
        for sample in load_inputs(path, [graph.tensors[i] for i in graph.inputs])])
    np.testing.assert_array_equal(answers, np.load(path)["expected"])
    right = int((answers.argmax(1) == load_labels(path)).sum())
    assert (right, len(answers)) == EXAMPLES[name]


@pytest.mark.parametrize(("device", "target"), [
    ("golden", "base"), ("emulator", "nano"), ("emulator", "base"),
    pytest.param("sim", "base", marks=[pytest.mark.rtl, pytest.mark.long])])
@pytest.mark.parametrize("name", list(EXAMPLES)[:2])      # int16 needs a vector unit
def test_a_session_gives_the_answers_of_litert(name: str, device: str, target: str,
                                               models: Path) -> None:
    program = kaniwa.compile(models / f"{name}.tflite", target)
    assert len(program.layers) > 0, "the accelerator has a part in it"
    path = models / "inputs" / f"{name}.npz"
    expected = np.load(path)["expected"]
    with kaniwa.open(device, outside=program.outside) as opened:
        session = kaniwa.Session(program, opened)
        for sample, answer in zip(load_inputs(path, program.inputs, limit=4), expected[:4],
                                  strict=True):
            (scores,) = session.run(sample).values()
            np.testing.assert_array_equal(scores[0], answer)


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_products_are_as_many_as_stated(name: str, models: Path) -> None:
    graph = load_model(models / f"{name}.tflite")
    constant = computed = 0
    for op in graph.ops:
        out = graph.tensors[op.outputs[0]].shape
        if op.kind in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"):
            weights = graph.tensors[op.inputs[1]]
            assert weights.data is not None
            depth = weights.shape[1:-1] if op.kind == "DEPTHWISE_CONV_2D" else weights.shape[1:]
            constant += math.prod(out) * math.prod(depth)
        elif op.kind == "BATCH_MATMUL":
            assert all(graph.tensors[i].data is None for i in op.inputs)
            computed += math.prod(out) * graph.tensors[op.inputs[0]].shape[-1]
    assert (constant, computed) == PRODUCTS[name]
    (entry,) = (m for m in json.loads((models / "MANIFEST.json").read_text())["models"]
                if m["name"] == name)
    assert entry["macs"] == constant + computed


@pytest.mark.slow
@pytest.mark.skipif(not all(map(importlib.util.find_spec, MAKERS)),
                    reason="needs PyTorch, litert-torch, ai-edge-quantizer and scikit-learn")
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_script_writes_a_model_that_runs(name: str, root: Path, tmp_path: Path) -> None:
    script = name.removesuffix("_int16")
    arguments = ["--batches", "2"] if name == "keyword_transformer" else []
    arguments += ["--activations", "int16"] if script != name else []
    assert_writes_a_model_that_runs(root, script, tmp_path / f"{name}.tflite", arguments,
                                    12 if "digits" in name else 14)
