"""Blocks of transformers as ONNX models: on host and device in turn, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from builders.files.onnx_compared import Compared
from builders.files.onnx_models import OnnxBuilder
from builders.graphs.inferences import assert_runs_as_golden

from kaniwa.errors import Error
from kaniwa.graph import Graph
from kaniwa.importers.onnx.model import import_onnx

TOKENS, HEADS, SIZE = 8, 2, 8
# Steps are no simple ratios of each other, so that few numbers lie next to a tie.
WIDTH = HEADS * SIZE


def dense(b: OnnxBuilder, x: str, outputs: int, inputs: int) -> str:
    product = b.node("MatMul", [x, b.weights((inputs, outputs))])
    bias = b.constant(b.rng.normal(0, 0.2, outputs).astype(np.float32))
    return b.quantized(b.node("Add", [product, bias]), 0.1013)


def norm(b: OnnxBuilder, x: str, in_parts: bool) -> str:
    """Layer normalisation as one node, or as PyTorch's exporter writes its parts."""
    if not in_parts:
        gain = b.constant(b.rng.normal(1, 0.2, WIDTH).astype(np.float32))
        return b.quantized(b.node("LayerNormalization", [x, gain]), 0.03)
    centered = b.quantized(b.node("Sub", [x, b.quantized(
        b.node("ReduceMean", [x], axes=[-1]), 0.0213)]), 0.0511)
    variance = b.quantized(b.node("ReduceMean", [b.quantized(
        b.node("Mul", [centered, centered]), 0.0937)], axes=[-1]), 0.05)
    epsilon = b.quantized(b.constant(np.float32(0.01)), 1e-4)
    root = b.node("Sqrt", [b.quantized(b.node("Add", [variance, epsilon]), 0.047)])
    return b.quantized(b.node("Mul", [centered, b.quantized(
        b.node("Reciprocal", [b.quantized(root, 0.0113)]), 0.0107)]), 0.03)


def block(b: OnnxBuilder, in_parts: bool) -> bytes:
    x = b.activation((1, TOKENS, WIDTH), 0.0487)
    y = norm(b, x, in_parts)
    shape = b.constant(np.array([1, TOKENS, HEADS, SIZE]))
    query, key, value = (
        b.node("Transpose", [b.node("Reshape", [dense(b, y, WIDTH, WIDTH), shape])], perm=perm)
        for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
    scores = b.quantized(b.node("MatMul", [query, key]), 0.0971)
    likely = b.quantized(b.node("Softmax", [scores], axis=-1), 1 / 256)
    mixed = b.quantized(b.node("MatMul", [likely, value]), 0.0893)
    merged = b.node("Reshape", [b.node("Transpose", [mixed], perm=[0, 2, 1, 3]),
                                b.constant(np.array([1, TOKENS, WIDTH]))])
    return b.model(b.quantized(b.node("Add", [x, dense(b, merged, WIDTH, WIDTH)]), 0.083))


def encoder_layer(b: OnnxBuilder) -> bytes:
    """What PyTorch's exporter writes of nn.TransformerEncoderLayer, behind a token for the class:
    query, key and value in one product, taken apart by Gather; GELU by Erf; one token at the end.
    """
    token = b.constant(b.rng.normal(0, 1, (1, 1, WIDTH)).astype(np.float32))
    x = b.quantized(b.node("Concat", [token, b.activation((1, TOKENS - 1, WIDTH), 0.0487)],
                           axis=1), 0.0487)
    parts = b.node("Reshape", [dense(b, norm(b, x, in_parts=False), 3 * WIDTH, WIDTH),
                               b.constant(np.array([TOKENS, 3, HEADS, SIZE]))])
    parts = b.node("Transpose", [parts], perm=[1, 2, 0, 3])
    query, key, value = (b.node("Gather", [parts, b.constant(np.array(i))], axis=0)
                         for i in range(3))
    factor = b.constant(np.float32(SIZE**-0.5))
    scores = b.quantized(b.node("MatMul", [b.quantized(b.node("Mul", [query, factor]), 0.0387),
                                           b.node("Transpose", [key], perm=[0, 2, 1])]), 0.0971)
    likely = b.quantized(b.node("Softmax", [scores], axis=-1), 1 / 255)
    mixed = b.quantized(b.node("MatMul", [likely, value]), 0.0893)
    merged = b.node("Reshape", [b.node("Transpose", [mixed], perm=[1, 0, 2]),
                                b.constant(np.array([1, TOKENS, WIDTH]))])
    x = b.quantized(b.node("Add", [x, dense(b, merged, WIDTH, WIDTH)]), 0.083)
    y = dense(b, x, 2 * WIDTH, WIDTH)
    bent = b.node("Erf", [b.node("Div", [y, b.constant(np.float32(2**0.5))])])
    bent = b.quantized(b.node("Add", [b.quantized(bent, 0.0081), b.constant(np.float32(1))]), 0.016)
    half = b.quantized(b.node("Mul", [bent, b.constant(np.float32(0.5))]), 0.0079)
    y = dense(b, b.quantized(b.node("Mul", [y, half]), 0.0613), WIDTH, 2 * WIDTH)
    x = b.quantized(b.node("Add", [x, y]), 0.0907)
    return b.model(b.quantized(b.node("Gather", [x, b.constant(np.array(0))], axis=1), 0.0907))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_an_encoder_layer_equals_onnx_runtime_and_is_on_the_device(dtype: str) -> None:
    pytest.importorskip("onnxruntime")
    compared = Compared()
    for seed in range(3):
        b = OnnxBuilder(seed, dtype)
        model = encoder_layer(b)
        sample = b.samples()
        graph, _ = compared.add(model, sample, seed)
        program = assert_runs_as_golden(graph, "base_vector", sample)
        edges = {"QUANTIZE", "CONCATENATION", "DEQUANTIZE", "RESHAPE", "STRIDED_SLICE"}
        assert {op.kind for op in program.host_ops} <= edges, "what stands beside float32"
    compared.assert_few_next_to_ties()


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_block_equals_onnx_runtime_and_runs_on_host_and_device(dtype: str,
                                                                in_parts: bool) -> None:
    pytest.importorskip("onnxruntime")
    compared = Compared()
    for seed in range(5):
        b = OnnxBuilder(seed, dtype)
        model = block(b, in_parts)
        sample = b.samples()
        graph, _ = compared.add(model, sample, seed)
        for target, products in (("base", 0), ("base_vector", 2)):
            program = assert_runs_as_golden(graph, target, sample)
            count = [layer.op.split("+")[0] for layer in program.layers].count
            assert (count("FULLY_CONNECTED"), count("BATCH_MATMUL")) == (4, products)
    compared.assert_few_next_to_ties()


def normalization(options: dict[str, object], gain: bool = True, outputs: int = 1) -> Graph:
    b = OnnxBuilder()
    x = b.activation((2, 3, 4))
    scale = b.constant(np.ones(4, np.float32)) if gain else b.activation((4,))
    y = b.nodes_of("LayerNormalization", [x, scale], outputs, **options)[0]
    return import_onnx(b.model(b.quantized(y)), "norm.onnx")


@pytest.mark.parametrize(("options", "message"), [
    ({"axis": 3}, "axis 3 does not fit [2, 3, 4]"),
    ({"epsilon": -1.0}, "epsilon -1.0 must be a number from 0 on"),
])
def test_layer_normalization_that_is_illegal_is_refused(
        options: dict[str, object], message: str) -> None:
    with pytest.raises(Error) as error:
        normalization(options)
    assert str(error.value).endswith(message)


@pytest.mark.parametrize(("options", "gain", "outputs", "limit"), [
    ({"axis": 1}, True, 1, "axis 1 has others behind it; only the last axis is supported"),
    ({}, False, 1, "Scale is computed; only a constant is supported"),
    ({}, True, 2, "Mean and InvStdDev are not supported; leave these results out"),
])
def test_layer_normalization_beyond_its_limits_is_the_runtime_s(
        options: dict[str, object], gain: bool, outputs: int, limit: str) -> None:
    (op,) = [op for op in normalization(options, gain, outputs).ops
             if op.kind == "LayerNormalization"]
    assert (op.rule, op.attributes["limit"]) == ("onnxruntime", limit)
