"""What exporters write around a network: clamps of integers, and shapes that they compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from builders.files.onnx_models import OnnxBuilder

import kaniwa
from kaniwa import golden
from kaniwa.graph import Graph
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.verify.litert import verify

onnxruntime = pytest.importorskip("onnxruntime")


def compared(b: OnnxBuilder, output: str, path: Path, layers: bool = True) -> Graph:
    """The graph of the model, whose outputs and operators equal ONNX Runtime's."""
    data = b.model(output)
    path.write_bytes(data)
    found = verify(path, "onnxruntime", layers=layers, limit=3)
    assert not found["mismatches"], found["first_mismatch"]
    feeds = b.samples(1.0)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, feeds)
    with kaniwa.open("emulator") as device:
        (given,) = kaniwa.Session(kaniwa.compile(path, target="base_vector"),
                                  device).run(feeds).values()
    assert given.shape == expected.shape and given.dtype == expected.dtype
    return import_onnx(data, "m.onnx")


# Clamps of integers --------------------------------------------------------------------------


def narrow(b: OnnxBuilder, x: str, scale: float, edges: tuple[int | None, int | None],
           axis: int | None = None, scales: np.ndarray | None = None) -> str:
    """Fake quantisation to a narrower range: its Clip works on the integers."""
    steps = np.float32(scale) if scales is None else scales
    zero = np.full(steps.shape, 3 if scales is None else 0, b.dtype)
    parameters = [b.constant(steps), b.constant(zero)]
    attributes = {} if axis is None else {"axis": axis}
    ends = ["" if edge is None else b.constant(np.array(edge, b.dtype)) for edge in edges]
    q = b.node("QuantizeLinear", [x, *parameters], **attributes)
    return b.node("DequantizeLinear", [b.node("Clip", [q, *ends]), *parameters], **attributes)


@pytest.mark.parametrize(("dtype", "edges"), [
    ("int8", (-127, 127)), ("uint8", (None, 127)), ("int8", (-20, 30)), ("uint8", (90, None)),
    ("int8", (5, -5)),
])
def test_a_clamp_of_integers_is_part_of_what_makes_them(
        dtype: str, edges: tuple[int | None, int | None], tmp_path: Path) -> None:
    b = OnnxBuilder(1, dtype)
    x = narrow(b, b.input((1, 3, 6, 6)), 0.02, edges)
    kernel = b.constant(b.rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32))
    w = narrow(b, kernel, 0, (-127, 127) if dtype == "int8" else (None, 127), 0,
               b.rng.uniform(0.001, 0.01, 4).astype(np.float32))
    y = narrow(b, b.node("Conv", [x, w]), 0.05, edges)
    graph = compared(b, b.node("MaxPool", [y], kernel_shape=[2, 2]), tmp_path / "m.onnx")
    assert [op.kind for op in graph.ops if op.kind not in ("TRANSPOSE", "DEQUANTIZE")] == [
        "QUANTIZE", "CONV_2D", "MAX_POOL_2D"]


def test_integers_that_others_read_too_stay_as_they_are(tmp_path: Path) -> None:
    b = OnnxBuilder(2)
    x, one = b.activation((1, 3, 6, 6), 0.02), b.constant(np.float32(0.05))
    zero = b.constant(np.int8(0))
    q = b.node("QuantizeLinear", [b.node("Conv", [x, b.weights((4, 3, 3, 3))]), one, zero])
    whole = b.node("DequantizeLinear", [q, one, zero])
    clamped = b.node("DequantizeLinear", [b.node("Clip", [
        q, b.constant(np.int8(-9)), b.constant(np.int8(40))]), one, zero])
    graph = compared(b, b.quantized(b.node("Add", [whole, clamped]), 0.1), tmp_path / "m.onnx")
    assert [op.kind for op in graph.ops].count("QUANTIZE") == 2      # the input, and the clamp


@pytest.mark.parametrize("kind", ["Relu", "Max", "Min"])
def test_other_clamps_of_integers_are_the_same(kind: str, tmp_path: Path) -> None:
    b = OnnxBuilder(3)
    steps = [b.constant(np.float32(0.05)), b.constant(np.int8(-5))]
    q = b.node("QuantizeLinear", [b.node("Reshape", [
        b.activation((3, 8), 0.03), b.constant(np.array([2, 12]))]), *steps])
    q = b.node(kind, [q] if kind == "Relu" else [q, b.constant(np.int8(7))])
    compared(b, b.node("DequantizeLinear", [q, *steps]), tmp_path / "m.onnx")


# Shapes --------------------------------------------------------------------------------------


def computed_sizes(b: OnnxBuilder, x: str) -> str:
    """Sizes as PyTorch's interpolate writes them: a factor in float32, rounded down."""
    part = b.node("Slice", [b.node("Shape", [x]), *(
        b.constant(np.array([n])) for n in (2, 4, 0))])
    real = b.node("Cast", [part], to=onnx.TensorProto.FLOAT)
    factors = b.constant(np.array([0.7, 1.3], np.float32))
    down = b.node("Floor", [b.node("Mul", [real, factors])])
    return b.node("Cast", [down], to=onnx.TensorProto.INT64)


def resized(b: OnnxBuilder, x: str) -> str:
    kept = b.node("Slice", [b.node("Shape", [x]), *(b.constant(np.array([n])) for n in (0, 2))])
    sizes = b.node("Concat", [kept, computed_sizes(b, x)], axis=0)
    return b.node("Resize", [x, "", "", sizes], mode="nearest",
                  coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def halves(b: OnnxBuilder, x: str) -> str:
    """The part of a map up to its rounded half, with absent axes."""
    real = b.node("Cast", [b.node("Shape", [x])], to=onnx.TensorProto.FLOAT)
    half = b.node("Div", [real, b.constant(np.array([1, 1, 3, 2], np.float32))])
    ends = b.node("Cast", [b.node("Ceil", [half])], to=onnx.TensorProto.INT64)
    return b.node("Slice", [x, b.constant(np.zeros(4, np.int64)), ends, "",
                            b.constant(np.ones(4, np.int64))])


def rows(b: OnnxBuilder, x: str) -> str:
    count = b.node("Cast", [b.node("Size", [x])], to=onnx.TensorProto.FLOAT)
    root = b.node("Round", [b.node("Sqrt", [b.node("Abs", [b.node("Neg", [count])])])])
    one = b.node("Min", [b.node("Clip", [root, "", b.constant(np.float32(4))]),
                         b.constant(np.float32(9)), root])
    shape = b.node("Cast", [b.node("Reshape", [one, b.constant(np.array([1]))])],
                   to=onnx.TensorProto.INT64)
    return b.node("Reshape", [x, b.node("Concat", [
        shape, b.constant(np.array([-1]))], axis=0)])


def anchors(b: OnnxBuilder, x: str) -> str:
    """Distances from the middle of each pixel, as detectors compute their boxes."""
    def grid(axis: int) -> str:
        n = b.node("Gather", [b.node("Shape", [x]), b.constant(np.array(axis))])
        count = b.node("Range", [b.constant(np.float32(0)), b.node("Cast", [n], to=1),
                                 b.constant(np.float32(1))])
        half = b.quantized(b.constant(np.float32(0.5)), 0.5 / 127)
        return b.quantized(b.node("Add", [b.quantized(count, 0.1), half]), 0.1)

    size = b.constant(np.array([1, 1, 10, 12]))
    across = b.node("Expand", [grid(3), size])
    down = b.node("Expand", [b.node("Reshape", [grid(2), b.constant(np.array([1, 1, -1, 1]))]),
                             size])
    places = b.quantized(b.node("Concat", [across, down], axis=1), 0.1)
    return b.quantized(b.node("Sub", [places, x]), 0.1)


def signs(b: OnnxBuilder, x: str) -> str:
    """The shape of an Expand with -1 for what stays: chosen by Where."""
    shape = b.node("Shape", [x])
    given = b.constant(np.array([-1, 2, -1, 12]))
    kept = b.node("Where", [b.node("Equal", [given, b.constant(np.array(-1))]), shape, given])
    few = b.node("Mod", [kept, b.constant(np.array([2, 3, 11, 13]))])
    again = b.node("Tile", [few, b.constant(np.array([2]))])
    return b.node("Reshape", [x, b.node("Slice", [again, b.constant(np.array([0])),
                                                  b.constant(np.array([4]))])])


@pytest.mark.parametrize("form", [resized, halves, rows, anchors, signs])
def test_shapes_that_are_computed_in_float32_are_constants(
        form: Callable[[OnnxBuilder, str], str], tmp_path: Path) -> None:
    b = OnnxBuilder(4)
    graph = compared(b, form(b, b.activation((1, 2, 10, 12), 0.03)), tmp_path / "m.onnx")
    assert not any(op.rule == "onnxruntime" for op in graph.ops)
    assert golden.run(graph, b.samples(1.0))[graph.outputs[0]].size
