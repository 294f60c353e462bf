"""Quant nodes of QONNX and Brevitas: the same integers as the model in QDQ form."""

from __future__ import annotations

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder

from kaniwa import golden
from kaniwa.errors import UnsupportedError
from kaniwa.importers.onnx.model import import_onnx

DOMAIN = "qonnx.custom_op.general"


def quant(b: OnnxBuilder, x: str, scale: np.ndarray | float, bits: int = 8, zero: float = 0.0,
          **options: object) -> str:
    return b.node("Quant", [x, b.constant(np.float32(scale)), b.constant(np.float32(zero)),
                            b.constant(np.float32(bits))], domain=DOMAIN, **options)


def test_a_convolution_of_few_bits_is_that_of_its_integers() -> None:
    b = OnnxBuilder(3)
    integers = b.rng.integers(-7, 8, (4, 3, 3, 3))
    scales = b.rng.uniform(0.01, 0.05, (4, 1, 1, 1)).astype(np.float32)
    x = quant(b, b.input((1, 3, 6, 6)), 0.05)
    w = quant(b, b.constant((integers * scales).astype(np.float32)), scales, 4, narrow=1)
    y = b.node("Relu", [b.node("Conv", [x, w])])
    y = quant(b, y, 0.1, 4, signed=0)
    graph = import_onnx(b.model(y), "quant.onnx")
    conv = next(op for op in graph.ops if op.kind == "CONV_2D")
    weights = graph.tensors[conv.inputs[1]].data
    assert weights is not None
    np.testing.assert_array_equal(weights.transpose(0, 3, 1, 2), integers)
    assert conv.attributes["bounds"] == (-128, -113)      # 0..15, less 128

    sample = b.rng.normal(0, 3, (1, 3, 6, 6)).astype(np.float32)
    result = golden.run(graph, [sample])[graph.outputs[0]]
    steps = np.clip(np.rint(sample / np.float32(0.05)), -128, 127)
    windows = np.lib.stride_tricks.sliding_window_view(steps, (3, 3), axis=(2, 3))
    acc = np.einsum("ncyxkl,ockl->noyx", windows, integers)
    factor = float(np.float32(0.05)) * scales.reshape(1, 4, 1, 1).astype(np.float64)
    real = acc * (factor / float(np.float32(0.1)))
    expected = np.clip(np.rint(real), 0, 15).astype(np.float32) * np.float32(0.1)
    np.testing.assert_array_equal(result, expected)
    assert np.unique(result).size > 8


@pytest.mark.parametrize(("bits", "options", "says"), [
    (1, {}, "quantises to 1 bits; 2 to 8 are supported"),
    (16, {}, "quantises to 16 bits; 2 to 8 are supported"),
    (8, {"rounding_mode": "FLOOR"}, "rounds otherwise than half to even"),
    (4, {}, "quantises a float32 input to fewer than 8 bits"),
])
def test_what_is_not_taken_is_named(bits: int, options: dict[str, object], says: str) -> None:
    b = OnnxBuilder(1)
    with pytest.raises(UnsupportedError, match=says):
        import_onnx(b.model(quant(b, b.input((1, 3)), 0.5, bits, **options)), "quant.onnx")
