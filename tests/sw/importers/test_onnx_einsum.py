"""Einsum as MatMul where it is one, equal to ONNX Runtime; others stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from builders.files.onnx_compared import Compared
from builders.files.onnx_models import OnnxBuilder
from builders.graphs.inferences import assert_runs_as_golden
from builders.networks.random_onnx import noise

from kaniwa.graph import Graph

pytest.importorskip("onnxruntime")


def compared(b: OnnxBuilder, y: str) -> Graph:
    """The graph, whose results are ONNX Runtime's, and a program's for ``base_vector``."""
    data = b.model(y)
    sample, both = noise(data, 0), Compared()
    graph, _ = both.add(data, sample, "einsum")
    both.assert_few_next_to_ties()
    assert_runs_as_golden(graph, "base_vector", sample)
    return graph


def test_attention_is_products_of_matrices() -> None:
    b = OnnxBuilder(2)
    x, z = (b.activation((1, 2, 16, 8), 0.02) for _ in range(2))
    scores = b.quantized(b.node("Einsum", [x, z], equation="bhid,bhjd->bhij"), 0.05)
    shares = b.quantized(b.node("Softmax", [scores], axis=3), 1 / 256)
    y = b.quantized(b.node("Einsum", [shares, z], equation="bhij, bhjd -> bihd"), 0.02)
    y = b.node("Reshape", [y, b.constant(np.array([1, 16, 16]))])
    graph = compared(b, b.quantized(b.node("Einsum", [y, b.weights((16, 12))],
                                           equation="bnc,cd->bnd"), 0.05))
    found = [op.kind for op in graph.ops]
    assert found.count("BATCH_MATMUL") == 2 and found.count("FULLY_CONNECTED") == 1
    assert "EINSUM" not in found


@pytest.mark.parametrize("equation, weights", [
    ("nchw,wd->ncdh", (5, 7)), ("nchw,dw->nhcd", (7, 5)), ("nchw,cd->nhwd", (4, 3)),
    ("nchw,hd->dncw", (6, 3))])
def test_weights_may_be_of_any_axis(equation: str, weights: tuple[int, int]) -> None:
    b = OnnxBuilder(3)
    x = b.activation((2, 4, 6, 5), 0.02)
    graph = compared(b, b.quantized(b.node("Einsum", [x, b.weights(weights)], equation=equation),
                                    0.05))
    assert "EINSUM" not in [op.kind for op in graph.ops]


@pytest.mark.parametrize("equation, second", [
    ("nchw,nkhw->nck", None),      # two axes are summed
    ("nchw,nchw->nchw", None),      # none is
    ("nchw,ncwd->nchd", (2, 4, 5, 3)),      # weights with a batch
    ("nchw,n->chw", (2,))])
def test_what_is_no_product_of_matrices_stays(equation: str,
                                              second: tuple[int, ...] | None) -> None:
    b = OnnxBuilder(4)
    x = b.activation((2, 4, 6, 5), 0.02)
    z = x if second is None else b.quantized(b.constant(
        b.rng.normal(size=second).astype(np.float32)), 0.02)
    graph = compared(b, b.quantized(b.node("Einsum", [x, z], equation=equation), 0.1))
    assert "EINSUM" in [op.kind for op in graph.ops]
