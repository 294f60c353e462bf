"""What a quantiser leaves in float32, and inputs that are plain integers: golden against ONNX
Runtime, programs against golden."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from builders.files.onnx_compared import Compared
from builders.files.onnx_models import OnnxBuilder
from builders.files.onnx_partly_float import PARTLY_FLOAT, PREAMBLES
from builders.graphs.inferences import assert_runs_as_golden
from onnx import helper, load_model_from_string

from kaniwa.golden import run

pytest.importorskip("onnxruntime")
Draw = Callable[[OnnxBuilder], str]


def integers(model: bytes, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Bytes, or small numbers of a wider type, by input."""
    samples = {}
    for i in load_model_from_string(model).graph.input:
        dtype = helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)
        shape = [d.dim_value for d in i.type.tensor_type.shape.dim]
        samples[i.name] = rng.integers(0, 256, shape).astype(dtype)
    return samples


@pytest.mark.parametrize("draw", [*PARTLY_FLOAT, *PREAMBLES])
def test_every_operator_equals_onnx_runtime_and_programs_equal_golden(draw: Draw) -> None:
    compared = Compared()
    for seed in range(8):
        b = OnnxBuilder(seed, "uint8" if seed % 2 else "int8")
        model = b.model(draw(b))
        sample = b.samples() if draw in PARTLY_FLOAT else integers(model, b.rng)
        graph, _ = compared.add(model, sample, seed)
        if seed < 2:
            assert_runs_as_golden(graph, "base_vector", sample, draw.__name__)
    assert compared.near <= compared.elements // 200


def test_a_preamble_of_bytes_is_a_table_of_the_accelerator() -> None:
    b = OnnxBuilder(1)
    graph, _ = Compared().add(b.model(PREAMBLES[0](b)), {"x0": np.zeros((1, 3, 8, 8), np.uint8)})
    assert [op.kind for op in graph.ops if op.kind not in ("RESHAPE", "TRANSPOSE")] == [
        "QUANTIZE", "QUANTIZE", "CONV_2D", "DEQUANTIZE"]


def test_a_dynamic_quantisation_of_zeros_has_a_scale_as_onnx_runtime_has_it() -> None:
    b = OnnxBuilder(2)
    parts = b.nodes_of("DynamicQuantizeLinear", [b.input((2, 3))], 3)
    model = b.model(b.node("DequantizeLinear", parts))
    graph, _ = Compared().add(model, {"x0": np.zeros((2, 3), np.float32)})
    values = run(graph, [np.zeros((2, 3), np.float32)], keep=graph.outputs)
    np.testing.assert_array_equal(values[graph.outputs[0]], np.zeros((2, 3)))
