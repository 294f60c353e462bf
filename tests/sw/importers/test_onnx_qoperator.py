"""Models in QOperator form: quantised by ONNX Runtime, compared with it operator by operator."""

from __future__ import annotations

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder

from kaniwa.errors import ModelError, UnsupportedError
from kaniwa.importers.onnx.model import ImportedOnnx, import_onnx, read_graph
from kaniwa.verify.onnxruntime import NEAR_TIE, OnnxRuntime, differences

MICROSOFT = "com.microsoft"


def steps(b: OnnxBuilder) -> list[str]:
    return [b.constant(np.float32(b.scale(0.02, 0.2))), b.constant(b.zero_point())]


def weights(b: OnnxBuilder, shape: tuple[int, ...], channels: int) -> list[str]:
    size = (channels,) if b.rng.random() < 0.5 else ()
    b.last_scales = b.rng.uniform(0.001, 0.02, size).astype(np.float32)
    return [b.constant(b.rng.integers(-128, 127, shape, np.int8)), b.constant(b.last_scales),
            b.constant(np.zeros(size, np.int8))]


def network(seed: int) -> tuple[OnnxBuilder, bytes]:
    """All operators of the form, one after the other."""
    b = OnnxBuilder(seed, "uint8" if seed % 2 else "int8")
    s = [steps(b) for _ in range(9)]
    x = b.node("QuantizeLinear", [b.input((1, 3, 8, 8)), *s[0]])
    bias = b.constant(b.rng.integers(-2000, 2000, 4, np.int32))
    y = b.node("QLinearConv", [x, *s[0], *weights(b, (4, 3, 3, 3), 4), *s[1], bias],
               pads=[1, 1, 1, 1])
    z = b.node("QLinearSigmoid", [y, *s[1], *s[2]], domain=MICROSOFT)
    z = b.node("QLinearLeakyRelu", [z, *s[2], *s[2]], domain=MICROSOFT, alpha=0.2)
    y = b.node("QLinearAdd", [y, *s[1], z, *s[2], *s[3]], domain=MICROSOFT)
    y = b.node("QLinearMul", [y, *s[3], z, *s[2], *s[4]], domain=MICROSOFT)
    y = b.node("QLinearConcat", [*s[5], y, *s[4], z, *s[2]], domain=MICROSOFT, axis=1)
    y = b.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
    y = b.node("QLinearAveragePool", [y, *s[5], *s[6]], domain=MICROSOFT, kernel_shape=[2, 2])
    y = b.node("QLinearGlobalAveragePool", [y, *s[6], *s[6]], domain=MICROSOFT, channels_last=0)
    y = b.node("Flatten", [y])
    y = b.node("QGemm", [y, *s[6], *weights(b, (8, 6), 1), b.constant(
        b.rng.integers(-200, 200, 6, np.int32)), *s[7]], domain=MICROSOFT)
    y = b.node("QLinearMatMul", [y, *s[7], *weights(b, (6, 5), 1), *s[8]])
    return b, b.model(b.node("DequantizeLinear", [y, *s[8]]))


def compared(b: OnnxBuilder, model: bytes) -> ImportedOnnx:
    """The model, whose operators are those of ONNX Runtime but for near ties."""
    pytest.importorskip("onnxruntime")
    imported = read_graph(model, "q.onnx")
    runtime = OnnxRuntime(model, "q.onnx", {o.name for o in imported.origins.values()})
    sample = b.samples()
    found = differences(imported, list(sample.values()), runtime.run(sample))
    assert imported.graph.outputs[0] in {difference.tensor_id for difference in found}
    for difference in found:
        assert not difference.wrong.any(), (difference.op, NEAR_TIE)
    assert max(np.unique(difference.golden).size for difference in found) > 2
    return imported


@pytest.mark.parametrize("seed", range(20))
def test_quantised_operators_equal_onnx_runtime_but_for_near_ties(seed: int) -> None:
    assert len(compared(*network(seed)).graph.ops) >= 12


@pytest.mark.parametrize(("least", "bias"), [(-127, True), (-128, True), (-127, False)])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_negative_alpha_negates_weights_and_bias(dtype: str, least: int, bias: bool) -> None:
    b = OnnxBuilder(1, dtype)
    x, y = steps(b), steps(b)
    data = b.rng.integers(least, 128, (5, 8)).astype(np.int8)
    data[0, 0] = least
    w = [b.constant(data), b.constant(np.float32(0.01)), b.constant(np.int8(0))]
    own = b.constant(b.rng.integers(-3000, 3000, 5, np.int32)) if bias else ""
    q = b.node("QuantizeLinear", [b.input((4, 8)), *x])
    r = b.node("QGemm", [q, *x, *w, own, *y], domain=MICROSOFT, alpha=-0.37, transB=1)
    graph = compared(b, b.model(b.node("DequantizeLinear", [r, *y]))).graph
    assert [op.kind for op in graph.ops].count("FULLY_CONNECTED") == 1


def test_weights_of_a_gemm_with_a_negative_alpha_stay_integers() -> None:
    b = OnnxBuilder(2)
    x, w = b.activation((4, 8), 0.03), b.weights((8, 5), axis=1)
    y = b.node("Gemm", [x, w, b.bias(5, 0.03)], alpha=-0.5, beta=-2.0)
    graph = compared(b, b.model(b.quantized(y, 0.05))).graph
    (op,) = (op for op in graph.ops if op.kind == "FULLY_CONNECTED")
    assert graph.tensors[op.inputs[1]].dtype == "int8"


@pytest.mark.parametrize("own", [12, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1])
@pytest.mark.parametrize("opset", [12, 17])
def test_a_softmax_of_integers_has_its_own_version(opset: int, axis: int | None,
                                                   own: int) -> None:
    b = OnnxBuilder(3, "uint8", opset)
    x = [b.constant(np.float32(0.05)), b.constant(np.uint8(100))]
    y = [b.constant(np.float32(1 / 256)), b.constant(np.uint8(0))]
    q = b.node("QuantizeLinear", [b.input((2, 3, 4, 5)), *x])
    r = b.node("QLinearSoftmax", [q, *x, *y], domain=MICROSOFT, opset=own,
               **({} if axis is None else {"axis": axis}))
    compared(b, b.model(b.node("DequantizeLinear", [r, *y])))


def test_too_few_operands_are_named() -> None:
    b = OnnxBuilder(1)
    x = b.node("QuantizeLinear", [b.input((1, 3)), *steps(b)])
    y = b.node("QLinearMatMul", [x, *steps(b)])
    with pytest.raises(ModelError, match="node 1 QLinearMatMul 'n2': has 3 operands"):
        import_onnx(b.model(y), "q.onnx")


def test_a_computed_bias_beside_a_negative_alpha_is_refused() -> None:
    b = OnnxBuilder(4)
    x, bias = steps(b), b.input((5,), "int32")
    q = b.node("QuantizeLinear", [b.input((4, 8)), *x])
    r = b.node("QGemm", [q, *x, *weights(b, (8, 5), 1), bias, *x], domain=MICROSOFT, alpha=-1.0)
    with pytest.raises(UnsupportedError, match="a bias beside a negative alpha must be constant"):
        import_onnx(b.model(b.node("DequantizeLinear", [r, *x])), "q.onnx")
