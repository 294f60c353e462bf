"""The recipe for PyTorch: its shipped model, and, where PyTorch is installed, the script itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kaniwa
from kaniwa import golden
from kaniwa.data.inputs import load_inputs, recorded_inputs
from kaniwa.importers import load_model
from kaniwa.verify.litert import verify

NAME = "pytorch_shapes_qdq.onnx"
TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchao", "onnxscript"))


def test_golden_equals_the_recorded_values_of_onnx_runtime(models: Path) -> None:
    values = verify(models / NAME, "recorded", layers=True)
    assert (values["inferences"], values["tensors"], values["mismatches"]) == (8, 9, 0)


def test_golden_equals_onnx_runtime_at_every_tensor(models: Path) -> None:
    pytest.importorskip("onnxruntime")
    values = verify(models / NAME, "onnxruntime", layers=True)
    assert (values["inferences"], values["tensors"], values["mismatches"]) == (8, 10, 0)
    assert values["near_ties"] < 50


def test_it_names_the_drawn_shapes(models: Path) -> None:
    graph = load_model(models / NAME)
    samples = recorded_inputs(models / NAME, [graph.tensors[i] for i in graph.inputs])
    answers = [golden.run(graph, sample)[graph.outputs[0]].argmax() for sample in samples[:6]]
    assert answers == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("target", ["nano", "base"])
def test_all_but_the_edges_runs_on_the_accelerator_and_is_exact(target: str, models: Path) -> None:
    graph = load_model(models / NAME)
    program = kaniwa.compile(graph, target, materialize=True)
    assert {op.kind for op in program.host_ops} <= {"QUANTIZE", "RESHAPE", "DEQUANTIZE",
                                                    *(["MAX_POOL_2D"] if target == "nano" else [])}
    with kaniwa.open("emulator", outside=program.outside) as device:
        session = kaniwa.Session(program, device)
        for sample in recorded_inputs(models / NAME, program.inputs):
            expected = golden.run(graph, sample)
            np.testing.assert_array_equal(session.run(sample)["scores"],
                                          expected[graph.outputs[0]])
            stored = [t for t in program.tensors if t.address is not None
                      and t.overwritten is None and t.channels is None]
            assert len(stored) >= 7
            for tensor in stored:
                np.testing.assert_array_equal(session.read(tensor), expected[tensor.id])


@pytest.mark.slow
@pytest.mark.skipif(not TORCH, reason="needs PyTorch: pip install 'kaniwa[torch]'")
@pytest.mark.parametrize("training", ["0", "2"])
def test_the_script_writes_a_model_that_runs(training: str, root: Path, tmp_path: Path) -> None:
    model = tmp_path / "shapes.onnx"
    subprocess.run([sys.executable, root / "examples" / "pytorch_export.py", "--output", model,
                    "--steps", "5", "--qat", training], check=True, capture_output=True)
    content = model.read_bytes()
    assert str(root).encode() not in content, "the file says where it was made"
    values = verify(model, "onnxruntime", inputs=tmp_path / "shapes.npz", layers=True)
    assert (values["inferences"], values["mismatches"]) == (16, 0)
    graph = load_model(model)
    shipped = load_model(root / "models" / NAME)
    assert [op.kind for op in graph.ops] == [op.kind for op in shipped.ops]
    program = kaniwa.compile(graph)
    with kaniwa.open("emulator") as device:
        session = kaniwa.Session(program, device)
        for sample in load_inputs(tmp_path / "shapes.npz", program.inputs, limit=4):
            np.testing.assert_array_equal(session.run(sample)["scores"],
                                          golden.run(graph, sample)[graph.outputs[0]])
