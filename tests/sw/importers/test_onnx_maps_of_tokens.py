"""Operators of maps where a network has tokens: batch normalization of rows, resized tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder

import kaniwa
from kaniwa.importers.onnx.model import read_graph
from kaniwa.verify.diff import diff
from kaniwa.verify.litert import verify

pytest.importorskip("onnxruntime")


def normal(b: OnnxBuilder, x: str, channels: int) -> str:
    """A batch normalization, of which one channel is multiplied by 0."""
    gain = b.rng.normal(0, 1, channels)
    gain[1] = 0
    constants = (gain, *b.rng.normal(0, 1, (2, channels)), b.rng.uniform(0.1, 4, channels))
    return b.node("BatchNormalization", [
        x, *(b.constant(values.astype(np.float32)) for values in constants)])


def of_rows(b: OnnxBuilder, x: str) -> str:
    """Of [tokens, channels], as behind a linear layer."""
    flat = b.node("Reshape", [x, b.constant(np.array([-1, 12]))])
    return b.node("Reshape", [b.quantized(normal(b, flat, 12), 0.1),
                              b.constant(np.array([1, 20, 12]))])


def of_sequences(b: OnnxBuilder, x: str) -> str:
    """Of [1, channels, tokens]."""
    turned = b.node("Transpose", [x], perm=[0, 2, 1])
    return b.node("Transpose", [b.quantized(normal(b, turned, 12), 0.1)], perm=[0, 2, 1])


def resized(b: OnnxBuilder, x: str) -> str:
    """Each token as a map of 4 x 3, by half as large."""
    maps = b.node("Reshape", [x, b.constant(np.array([1, 20, 4, 3]))])
    larger = b.node("Resize", [maps, "", b.constant(np.array([1, 1, 0.5, 2], np.float32))],
                    mode="linear", coordinate_transformation_mode="half_pixel")
    return b.node("Reshape", [b.quantized(larger, 0.1), b.constant(np.array([1, 20, 12]))])


@pytest.mark.parametrize("form", [of_rows, of_sequences, resized])
def test_tokens_stay_on_the_device(form: Callable[[OnnxBuilder, str], str],
                                   tmp_path: Path) -> None:
    b = OnnxBuilder(3)
    x = b.activation((1, 20, 8), 0.05)
    linear = b.quantized(b.node("MatMul", [x, b.weights((8, 12), axis=1)]), 0.1)
    path = tmp_path / "tokens.onnx"
    path.write_bytes(b.model(b.quantized(b.node(
        "MatMul", [form(b, linear), b.weights((12, 4), axis=1)]), 0.2)))
    found = verify(path, "onnxruntime", layers=True, limit=3)
    assert not found["mismatches"], found["first_mismatch"]
    # Where a result is rounded it is compared, so that ties are judged by what was rounded.
    imported = read_graph(path.read_bytes(), "tokens.onnx")
    assert all(set(op.outputs) <= imported.origins.keys() for op in imported.graph.ops
               if op.rule == "qdq")
    program = kaniwa.compile(path, target="base")
    assert {op.kind for op in program.host_ops} <= {"QUANTIZE", "DEQUANTIZE"}
    assert diff(program, ["golden", "emulator"], b.samples(1.0))["first_difference"] is None
