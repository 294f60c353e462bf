"""What the tools of docs/recipes/README.md write, in small: exact against its framework, and runs.

Each file is made here, with the operators, types, scales and zero points of its flow; files that a
tool made itself are the shipped ones, those of test_onnx_quantize_static.py and the recipes'.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder

import kaniwa
from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING, ModelBuilder
from kaniwa.data.inputs import seeded_inputs
from kaniwa.errors import UnsupportedError
from kaniwa.importers import load_model
from kaniwa.verify.litert import verify

SIZE = 12


class Exported(OnnxBuilder):
    """ONNX as tools write it that quantise what goes into a layer: weights stay float32."""

    def trained(self, shape: tuple[int, ...], axis: int = 0) -> str:
        """float32 weights through QuantizeLinear and DequantizeLinear, by channel, symmetric."""
        data = self.rng.normal(0, 0.3, shape).astype(np.float32)
        largest = np.abs(data).max(axis=tuple(a for a in range(data.ndim) if a != axis))
        parameters = [self.constant((largest / 127).astype(np.float32)),
                      self.constant(np.zeros(shape[axis], np.int8))]
        quantized = self.node("QuantizeLinear", [self.constant(data), *parameters], axis=axis)
        return self.node("DequantizeLinear", [quantized, *parameters], axis=axis)

    def conv(self, x: str, shape: tuple[int, ...], **options: object) -> str:
        bias = self.constant(self.rng.normal(0, 0.1, shape[0]).astype(np.float32))
        return self.node("Conv", [x, self.trained(shape), bias], pads=[shape[-1] // 2] * 4,
                         **options)

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])


def nncf() -> bytes:
    """NNCF on an ONNX model: activations symmetric or not, both addends quantised, float output."""
    b = Exported(1, opset=13)
    unsigned, signed = np.uint8(0), np.int8(0)
    x = b.quantized(b.input((1, 3, SIZE, SIZE)), 0.02, np.uint8(114))
    x = b.quantized(b.relu(b.conv(x, (8, 3, 3, 3), strides=[2, 2])), 0.01, unsigned)
    y = b.quantized(b.relu(b.conv(x, (8, 1, 3, 3), group=8)), 0.01, unsigned)
    y = b.quantized(b.conv(y, (8, 8, 1, 1)), 0.02, signed)
    y = b.quantized(b.relu(b.node("Add", [x, y])), 0.02, unsigned)
    y = b.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
    y = b.quantized(b.node("GlobalAveragePool", [y]), 0.02, unsigned)
    return b.model(b.node("Gemm", [b.node("Flatten", [y]), b.trained((5, 8)), b.constant(
        b.rng.normal(0, 0.1, 5).astype(np.float32))], transB=1))


def tensorrt() -> bytes:
    """Explicit quantisation for TensorRT: int8 with zero point 0, in front of layers alone."""
    b = Exported(2, opset=17)

    def symmetric(x: str, scale: float) -> str:
        return b.quantized(x, scale, np.int8(0))

    x = b.relu(b.conv(symmetric(b.input((1, 3, SIZE, SIZE)), 0.03), (8, 3, 3, 3)))
    x = symmetric(b.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]), 0.03)
    y = symmetric(b.relu(b.conv(x, (8, 8, 3, 3))), 0.03)
    y = b.relu(b.node("Add", [b.conv(y, (8, 8, 3, 3)), x]))
    y = b.relu(b.conv(symmetric(y, 0.03), (8, 8, 3, 3)))
    y = symmetric(b.node("Flatten", [b.node("GlobalAveragePool", [y])]), 0.02)
    return b.model(b.node("Gemm", [y, b.trained((5, 8))], transB=1))


def weighted(b: ModelBuilder, kind: str, x: int, x_scale: float, shape: tuple[int, ...],
             y: tuple[str, tuple[int, ...], float, int], by_channel: bool, narrow: bool,
             dtype: str = "int8", w_zero: int = 0, **options: object) -> int:
    """A layer with weights and bias; returns its output."""
    rng = np.random.default_rng(len(b.tensors))
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    channels = shape[axis]
    low, high = (0, 256) if dtype == "uint8" else (-127 if narrow else -128, 128)
    scales = rng.uniform(0.002, 0.01, channels if by_channel else 1).astype(np.float32)
    w = b.tensor(f"{y[0]}:w", shape, dtype, scale=scales, zero_point=[w_zero] * len(scales),
                 axis=axis, data=rng.integers(low, high, shape, dtype))
    bias = b.tensor(f"{y[0]}:b", (channels,), "int32",
                    scale=scales * np.float32(x_scale), zero_point=[0] * len(scales),
                    data=rng.integers(-3000, 3000, channels, np.int32))
    output = b.tensor(y[0], y[1], dtype, scale=y[2], zero_point=y[3])
    b.op(kind, [x, w, bias], [output], **options)
    return output


def trained_with_quantisation() -> bytes:
    """The TF Model Optimization Toolkit, then the converter: float32 edges, narrow weights."""
    b = ModelBuilder()
    image = b.tensor("image", (1, SIZE, SIZE, 3), "float32")
    x = b.tensor("image:int8", (1, SIZE, SIZE, 3), scale=1 / 127, zero_point=-1)
    b.op("QUANTIZE", [image], [x])
    window = {"Padding": PADDING["SAME"], "StrideH": 2, "StrideW": 2,
              "FusedActivationFunction": ACTIVATION["RELU6"]}
    x = weighted(b, "CONV_2D", x, 1 / 127, (8, 3, 3, 3), ("a", (1, 6, 6, 8), 6 / 255, -128),
                 True, True, **window)
    x = weighted(b, "DEPTHWISE_CONV_2D", x, 6 / 255, (1, 3, 3, 8),
                 ("b", (1, 3, 3, 8), 6 / 255, -128), True, True, DepthMultiplier=1, **window)
    flat = b.tensor("flat", (1, 72), scale=6 / 255, zero_point=-128)
    b.op("RESHAPE", [x, b.tensor("shape", (2,), "int32", data=np.array([1, 72], np.int32))],
         [flat])
    x = weighted(b, "FULLY_CONNECTED", flat, 6 / 255, (5, 72), ("c", (1, 5), 0.05, 3), False, True)
    scores = b.tensor("scores", (1, 5), "float32")
    b.op("DEQUANTIZE", [x], [scores])
    return b.build([image], [scores])


def for_edge_tpu() -> bytes:
    """The converter with uint8 input and output, as the Edge TPU's compiler takes it."""
    b = ModelBuilder()
    image = b.tensor("image", (1, SIZE, SIZE, 3), "uint8", scale=1 / 128, zero_point=128)
    x = b.tensor("image:int8", (1, SIZE, SIZE, 3), scale=1 / 128, zero_point=0)
    b.op("QUANTIZE", [image], [x])
    x = weighted(b, "CONV_2D", x, 1 / 128, (8, 3, 3, 3), ("a", (1, 6, 6, 8), 0.03, -128), True,
                 False, Padding=PADDING["SAME"], StrideH=2, StrideW=2,
                 FusedActivationFunction=ACTIVATION["RELU"])
    mean = b.tensor("mean", (1, 8), scale=0.02, zero_point=-128)
    b.op("MEAN", [x, b.tensor("axes", (2,), "int32", data=np.array([1, 2], np.int32))], [mean],
         KeepDims=False)
    x = weighted(b, "FULLY_CONNECTED", mean, 0.02, (5, 8), ("c", (1, 5), 0.02, 5), False, False)
    scores = b.tensor("scores", (1, 5), "uint8", scale=0.02, zero_point=133)
    b.op("QUANTIZE", [x], [scores])
    return b.build([image], [scores])


def legacy_uint8() -> bytes:
    """TOCO, and Arm NN's QAsymmU8: uint8 by tensor, weights with a zero point."""
    b = ModelBuilder()
    image = b.tensor("image", (1, SIZE, SIZE, 3), "uint8", scale=1 / 128, zero_point=128)
    x = weighted(b, "CONV_2D", image, 1 / 128, (8, 3, 3, 3), ("a", (1, 6, 6, 8), 0.03, 0), False,
                 False, "uint8", 121, Padding=PADDING["SAME"], StrideH=2, StrideW=2,
                 FusedActivationFunction=ACTIVATION["RELU"])
    x = weighted(b, "DEPTHWISE_CONV_2D", x, 0.03, (1, 3, 3, 8), ("b", (1, 6, 6, 8), 0.05, 128),
                 False, False, "uint8", 140, Padding=PADDING["SAME"], StrideH=1, StrideW=1,
                 DepthMultiplier=1)
    return b.build([image], [x])


EDGES = {"QUANTIZE", "DEQUANTIZE", "TRANSPOSE", "RESHAPE"}
# Flow → its file, the reference, what of it runs on the host beside the edges.
FLOWS: dict[str, tuple[Callable[[], bytes], str, set[str]]] = {
    "nncf.onnx": (nncf, "onnxruntime", {"FULLY_CONNECTED"}),
    "tensorrt.onnx": (tensorrt, "onnxruntime", {"CONV_2D", "ADD", "AVERAGE_POOL_2D",
                                                "FULLY_CONNECTED"}),
    "tfmot.tflite": (trained_with_quantisation, "litert", set()),
    "edge_tpu.tflite": (for_edge_tpu, "litert", set()),
    "legacy_uint8.tflite": (legacy_uint8, "litert", set()),
}


@pytest.fixture(params=FLOWS)
def flow(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str, set[str]]:
    build, framework, host = FLOWS[request.param]
    path = tmp_path / request.param
    path.write_bytes(build())
    return path, framework, host


def test_golden_equals_the_framework_at_every_tensor(flow: tuple[Path, str, set[str]]) -> None:
    path, framework, _ = flow
    pytest.importorskip({"litert": "ai_edge_litert"}.get(framework, framework))
    values = verify(path, framework, layers=True)
    assert values["mismatches"] == 0, values["first_mismatch"]
    assert values["tensors"] >= 2


@pytest.mark.parametrize("target", ["nano", "base"])
def test_it_runs_and_the_host_has_what_the_page_says(target: str, flow: tuple[Path, str, set[str]]
                                                     ) -> None:
    path, _, host = flow
    graph = load_model(path)
    program = kaniwa.compile(graph, target)
    if target == "base":
        assert {op.kind for op in program.host_ops} - EDGES == host
    with kaniwa.open("emulator") as device:
        session = kaniwa.Session(program, device)
        for sample in seeded_inputs([graph.tensors[i] for i in graph.inputs], 4):
            expected = golden.run(graph, sample)[graph.outputs[0]]
            assert np.unique(expected).size > 2
            np.testing.assert_array_equal(next(iter(session.run(sample).values())), expected)


def test_a_model_that_the_edge_tpus_compiler_has_seen_is_refused(tmp_path: Path) -> None:
    b = ModelBuilder()
    x, y = (b.tensor(name, (1, 4), "uint8", scale=0.1, zero_point=0) for name in "xy")
    b.op("edgetpu-custom-op", [x], [y])
    path = tmp_path / "model_edgetpu.tflite"
    path.write_bytes(b.build([x], [y]))
    with pytest.raises(UnsupportedError, match=r"op 0 CUSTOM\(edgetpu-custom-op\) 'y': operator"):
        load_model(path)
