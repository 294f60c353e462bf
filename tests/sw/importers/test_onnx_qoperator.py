"""Models in QOperator form: quantised by ONNX Runtime, compared with it operator by operator."""

from __future__ import annotations

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.model import import_onnx, read_graph
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


@pytest.mark.parametrize("seed", range(20))
def test_quantised_operators_equal_onnx_runtime_but_for_near_ties(seed: int) -> None:
    pytest.importorskip("onnxruntime")
    b, model = network(seed)
    imported = read_graph(model, "q.onnx")
    runtime = OnnxRuntime(model, "q.onnx", {o.name for o in imported.origins.values()})
    sample = b.samples()
    found = differences(imported, list(sample.values()), runtime.run(sample))
    assert len(found) >= 12
    for difference in found:
        assert not difference.wrong.any(), (difference.op, NEAR_TIE)


def test_too_few_operands_are_named() -> None:
    b = OnnxBuilder(1)
    x = b.node("QuantizeLinear", [b.input((1, 3)), *steps(b)])
    y = b.node("QLinearMatMul", [x, *steps(b)])
    with pytest.raises(ModelError, match="node 1 QLinearMatMul 'n2': has 3 operands"):
        import_onnx(b.model(y), "q.onnx")
