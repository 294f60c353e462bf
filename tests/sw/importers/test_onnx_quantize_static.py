"""What ONNX Runtime's own quantiser writes of a float network, in each of its forms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from builders.files.onnx_models import OnnxBuilder

from kaniwa.verify.litert import verify

quantization = pytest.importorskip("onnxruntime.quantization")
FORMS = {
    "uint8 and int8": ("QDQ", "QUInt8", "QInt8", False),
    "int8, weights by channel": ("QDQ", "QInt8", "QInt8", True),
    "uint8, weights with zero points": ("QDQ", "QUInt8", "QUInt8", False),
    "QOperator": ("QOperator", "QUInt8", "QInt8", False),
}
SHAPE = (1, 3, 16, 16)


class Samples(quantization.CalibrationDataReader):    # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.samples: Iterator[dict[str, np.ndarray]] = iter(
            [{"x0": rng.normal(0, 1, SHAPE).astype(np.float32)} for _ in range(2)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.samples, None)


def network() -> bytes:
    """A bottleneck with squeeze and excitation, concatenation, pooling, a linear layer."""
    b = OnnxBuilder(0)

    def conv(x: str, outputs: int, inputs: int, size: int = 3, groups: int = 1,
             stride: int = 1) -> str:
        w = b.rng.normal(0, 0.3, (outputs, inputs // groups, size, size)).astype(np.float32)
        bias = b.rng.normal(0, 0.2, outputs).astype(np.float32)
        return b.node("Conv", [x, b.constant(w), b.constant(bias)], group=groups,
                      pads=[size // 2] * 4, strides=[stride] * 2)

    def gate(x: str) -> str:
        return b.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)

    x = b.node("Clip", [conv(b.input(SHAPE), 8, 3, stride=2), b.constant(np.float32(0)),
                        b.constant(np.float32(6))])
    y = conv(x, 8, 8, groups=8)
    y = b.node("Mul", [y, gate(y)])
    squeezed = b.node("Relu", [conv(b.node("GlobalAveragePool", [y]), 4, 8, 1)])
    y = b.node("Mul", [y, gate(conv(squeezed, 8, 4, 1))])
    y = b.node("Add", [x, conv(y, 8, 8, 1)])
    y = b.node("Concat", [y, b.node("Sigmoid", [conv(y, 4, 8, 1)])], axis=1)
    y = b.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
    y = b.node("AveragePool", [y], kernel_shape=[2, 2], strides=[2, 2])
    # Below the 1,024 bytes from which on the quantiser goes through a file of its own for a tensor.
    w = b.rng.normal(0, 0.1, (5, 48)).astype(np.float32)
    y = b.node("Gemm", [b.node("Flatten", [y]), b.constant(w),
                        b.constant(b.rng.normal(0, 0.1, 5).astype(np.float32))], transB=1)
    return b.model(b.node("Softmax", [y], axis=1))


@pytest.mark.parametrize("form", FORMS)
def test_every_operator_equals_onnx_runtime(form: str, tmp_path: Path) -> None:
    written, activations, weights, by_channel = FORMS[form]
    model = onnx.load_model_from_string(network())
    types = quantization.QuantType
    quantization.quantize_static(
        model, tmp_path / "net.onnx", Samples(),
        quant_format=getattr(quantization.QuantFormat, written),
        activation_type=getattr(types, activations), weight_type=getattr(types, weights),
        per_channel=by_channel)
    values = verify(tmp_path / "net.onnx", "onnxruntime", layers=True, limit=4)
    assert values["mismatches"] == 0 and values["first_mismatch"] is None
    assert values["tensors"] >= 20
    assert values["near_ties"] < 100
