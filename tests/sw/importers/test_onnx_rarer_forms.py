"""Forms of nodes that exporters write now and then, compared with ONNX Runtime from file to
answer: shapes as well as numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from builders.files.onnx_models import OnnxBuilder
from onnx import helper

import kaniwa
from kaniwa.errors import UnsupportedError
from kaniwa.importers.onnx.model import read_graph
from kaniwa.verify.litert import verify
from kaniwa.verify.onnxruntime import OnnxRuntime, differences

onnxruntime = pytest.importorskip("onnxruntime")


def requantised_constant(b: OnnxBuilder) -> str:
    """What quantize_static writes of a weight that is transposed, and used by others as it is."""
    w = b.node("Transpose", [b.weights((5, 8))], perm=[1, 0])
    w = b.quantized(w, 0.012, np.int8(0))
    return b.quantized(b.node("MatMul", [b.activation((3, 8), 0.03), w]), 0.1)


def transposed(**attributes: object) -> Callable[[OnnxBuilder], str]:
    def made(b: OnnxBuilder) -> str:
        y = b.node("ConvTranspose", [b.activation((1, 3, 8, 9), 0.03), b.weights((3, 2, 4, 4))],
                   strides=[2, 2], **attributes)
        return b.quantized(y, 0.1)
    return made


def gemm_with_bias(shape: tuple[int, ...]) -> Callable[[OnnxBuilder], str]:
    def made(b: OnnxBuilder) -> str:
        bias = b.constant(b.rng.normal(0, 2, shape).astype(np.float32))
        y = b.node("Gemm", [b.activation((4, 8), 0.03), b.weights((8, 4)), bias])
        return b.quantized(y, 0.1)
    return made


def scaled_gemm(b: OnnxBuilder) -> str:
    """QGemm: its bias is in steps of alpha and both scales."""
    def numbers(scale: float, zero: int) -> list[str]:
        return [b.constant(np.float32(scale)), b.constant(np.int8(zero))]

    x = b.node("QuantizeLinear", [b.input((4, 8)), *numbers(0.03, 3)])
    weights = b.constant(b.rng.integers(-127, 128, (5, 8)).astype(np.int8))
    bias = b.constant(b.rng.integers(-3000, 3000, 5).astype(np.int32))
    y = b.node("QGemm", [x, *numbers(0.03, 3), weights, *numbers(0.01, 0), bias,
                         *numbers(0.05, -4)], domain="com.microsoft", alpha=0.37, transB=1)
    return b.node("DequantizeLinear", [y, *numbers(0.05, -4)])


def mean_of_no_axes(b: OnnxBuilder) -> str:
    axes = b.constant(np.zeros(0, np.int64))
    y = b.node("ReduceMean", [b.activation((1, 4, 5), 0.03), axes], noop_with_empty_axes=1)
    return b.quantized(y, 0.03)


def resized(policy: str) -> Callable[[OnnxBuilder], str]:
    def made(b: OnnxBuilder) -> str:
        sizes = b.constant(np.array([5, 13], np.int64))
        y = b.node("Resize", [b.activation((1, 4, 10, 11), 0.03), "", "", sizes], axes=[2, 3],
                   keep_aspect_ratio_policy=policy, mode="linear")
        return b.quantized(y, 0.03)
    return made


def row_of_a_table(b: OnnxBuilder) -> str:
    """Gather by a scalar, which drops the axis."""
    row = b.node("Gather", [b.weights((6, 8)), b.constant(np.int64(2))])
    return b.quantized(b.node("Add", [b.activation((3, 8), 0.03), row]), 0.05)


def integers(b: OnnxBuilder, scale: float = 0.05) -> str:
    return b.node("QuantizeLinear", [b.input((2, 3)), b.constant(np.float32(scale)),
                                     b.constant(np.int8(3))])


def joined_integers(*scales: float, first: bool) -> Callable[[OnnxBuilder], str]:
    """Concat of integers and of a constant, dequantised behind it."""
    def made(b: OnnxBuilder) -> str:
        own = b.constant(np.array([[-128], [127]], np.int8))
        parts = [integers(b, scale) for scale in scales]
        y = b.node("Concat", [own, *parts] if first else [*parts, own], axis=1)
        return b.node("DequantizeLinear", [y, b.constant(np.float32(0.05)), b.constant(
            np.int8(3))])
    return made


def sum_of_integers(b: OnnxBuilder) -> str:
    y = b.node("Add", [b.node("Clip", [integers(b), b.constant(np.int8(-60)), b.constant(
        np.int8(60))]), b.constant(np.int8(7))])
    return b.node("DequantizeLinear", [y, b.constant(np.float32(0.05)), b.constant(np.int8(3))])


def scalar_times_one_number(b: OnnxBuilder) -> str:
    """A product that has a dimension more than what is computed."""
    return b.node("Mul", [b.activation((), 0.03), b.constant(np.array([2], np.float32))])


def vector_by_one_number(b: OnnxBuilder) -> str:
    return b.node("Div", [b.activation((4,), 0.03), b.constant(np.array([[2]], np.float32))])


def gemm_in_float(b: OnnxBuilder) -> str:
    """QGemm without steps of the result."""
    x, w = ([b.constant(np.float32(s)), b.constant(np.int8(z))] for s, z in ((0.05, 3), (0.01, 0)))
    return b.node("QGemm", [integers(b), *x, b.constant(b.rng.integers(-127, 128, (3, 5), np.int8)),
                            *w, b.constant(b.rng.integers(-999, 999, 5, np.int32))],
                  domain="com.microsoft")


def dynamic_product(b: OnnxBuilder) -> str:
    return b.node("DynamicQuantizeMatMul", [
        b.input((2, 8)), b.constant(b.rng.integers(-127, 128, (8, 5), np.int8)),
        b.constant(np.float32(0.01))], domain="com.microsoft")


FORMS: dict[str, tuple[Callable[[OnnxBuilder], str], int]] = {
    "a constant that is quantised twice": (requantised_constant, 17),
    "output_shape, odd padding": (transposed(output_shape=[17, 19]), 17),
    "output_shape, odd padding, SAME_UPPER": (
        transposed(output_shape=[17, 19], auto_pad="SAME_UPPER"), 17),
    "output_shape beyond the whole result": (transposed(output_shape=[19, 21]), 17),
    "Gemm, a bias for each row": (gemm_with_bias((4, 1)), 17),
    "Gemm, a bias for each result": (gemm_with_bias((4, 4)), 17),
    "Gemm, one bias": (gemm_with_bias((1, 1)), 17),
    "QGemm with alpha": (scaled_gemm, 17),
    "ReduceMean of no axes": (mean_of_no_axes, 18),
    "Resize, not larger": (resized("not_larger"), 18),
    "Resize, not smaller": (resized("not_smaller"), 18),
    "Gather by a scalar": (row_of_a_table, 17),
    "Concat of integers": (joined_integers(0.05, 0.05, first=False), 17),
    "Concat of integers, the constant first": (joined_integers(0.05, first=True), 17),
    "Concat of integers in several steps": (joined_integers(0.05, 0.02, first=False), 17),
    "Add of integers": (sum_of_integers, 17),
    "a scalar times one number": (scalar_times_one_number, 17),
    "a vector by a matrix of one number": (vector_by_one_number, 17),
    "QGemm to float32": (gemm_in_float, 17),
    "DynamicQuantizeMatMul alone": (dynamic_product, 17),
}


def saved(b: OnnxBuilder, output: str, path: Path) -> Path:
    onnx.save(onnx.load_model_from_string(b.model(output)), path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_a_rarer_form_equals_onnx_runtime(form: str, tmp_path: Path) -> None:
    made, opset = FORMS[form]
    b = OnnxBuilder(1, opset=opset)
    path = saved(b, made(b), tmp_path / "m.onnx")
    feeds = b.samples(1.0)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, feeds)
    program = kaniwa.compile(path, target="base_vector")
    with kaniwa.open("emulator") as device:
        (given,) = kaniwa.Session(program, device).run(feeds).values()
    assert given.shape == expected.shape and given.dtype == expected.dtype
    found = verify(path, "onnxruntime", layers=True, limit=2)
    assert not found["mismatches"], found["first_mismatch"]


def test_scalars_go_from_one_operator_of_the_runtime_to_another(tmp_path: Path) -> None:
    """A float32 result without dimensions, which NumPy makes a number of."""
    b = OnnxBuilder(2)
    x = b.activation((6, 8), 0.03)
    mean = b.node("ReduceMean", [x], keepdims=0)
    y = b.node("Where", [b.node("Greater", [x, mean]), x, b.node("Neg", [x])])
    path = saved(b, y, tmp_path / "m.onnx")
    feeds = b.samples(1.0)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, feeds)
    with kaniwa.open("emulator") as device:
        (given,) = kaniwa.Session(kaniwa.compile(path, target="base_vector"),
                                  device).run(feeds).values()
    np.testing.assert_array_equal(given, expected)


def test_rows_are_taken_by_ids_of_columns(tmp_path: Path) -> None:
    """Embeddings of tabular data: the ids of a column go into the second operand of a Gather."""
    b = OnnxBuilder(6)
    ids = b.input((2, 3), "int64")
    rows = [b.quantized(b.node("Gather", [b.weights((8, 4)), b.node(
        "Gather", [ids, b.constant(np.int64(column))], axis=1)]), 0.02) for column in (0, 1)]
    y = b.node("MatMul", [b.quantized(b.node("Concat", rows, axis=1), 0.02), b.weights((8, 3))])
    path = saved(b, b.quantized(y, 0.1), tmp_path / "m.onnx")
    feeds = {"x0": b.rng.integers(0, 8, (2, 3))}
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, feeds)
    with kaniwa.open("emulator") as device:
        (given,) = kaniwa.Session(kaniwa.compile(path, target="base_vector"),
                                  device).run(feeds).values()
    np.testing.assert_allclose(given, expected, atol=0.11)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_an_input_that_nobody_reads_is_no_error(dtype: str, tmp_path: Path) -> None:
    b = OnnxBuilder(3)
    y = b.quantized(b.node("Relu", [b.activation((1, 8), 0.03)]), 0.03)
    b.input((1, 4), dtype)
    path = saved(b, y, tmp_path / "m.onnx")
    feeds = {"x0": b.samples(1.0)["x0"], "x1": np.zeros((1, 4), dtype)}
    program = kaniwa.compile(path, target="base")
    with kaniwa.open("emulator") as device, kaniwa.open("golden") as golden:
        given = [kaniwa.Session(program, one).run(feeds) for one in (device, golden)]
    for name, values in given[0].items():
        np.testing.assert_array_equal(values, given[1][name])


@pytest.mark.parametrize("kind", ["Relu", "Clip", "Max"])
def test_a_float_model_is_told_to_be_quantised(kind: str, tmp_path: Path) -> None:
    b = OnnxBuilder(4)
    more = [] if kind == "Relu" else [b.constant(np.float32(0))]
    x = b.node(kind, [b.input((1, 3, 8, 8)), *more])
    w = b.constant(b.rng.normal(0, 1, (2, 3, 3, 3)).astype(np.float32))
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(
        onnx.load_model_from_string(b.model(b.node("Conv", [x, w]))).graph,
        opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString())
    with pytest.raises(UnsupportedError, match="is not quantised; put QuantizeLinear and"):
        kaniwa.compile(path, target="base")


def test_what_a_concat_brings_to_its_steps_may_lie_next_to_ties() -> None:
    """0.045 of the second operand is one step and a half of the result; other steps are wrong."""
    b = OnnxBuilder(5)
    zero = np.int8(0)
    parts = [b.quantized(b.input((1, 4, 64)), scale, zero) for scale in (0.03, 0.045)]
    model = b.model(b.quantized(b.node("Concat", parts, axis=1), 0.03, zero))
    imported = read_graph(model, "test.onnx")
    feeds = b.samples(1.0)
    runtime = OnnxRuntime(model, "test.onnx", {o.name for o in imported.origins.values()})
    reference = dict(runtime.run(feeds))
    inputs = [feeds[imported.graph.tensors[i].name] for i in imported.graph.inputs]
    (found,) = [one for one in differences(imported, inputs, reference)
                if one.op.kind == "CONCATENATION"]
    assert not found.wrong.any() and found.near_tie.sum() > 10
    name = imported.origins[found.tensor_id].name
    changed = reference[name].copy()
    changed[0, 0, :8] ^= 1             # of the first operand, whose steps are the result's
    (again,) = [one for one in differences(imported, inputs, reference | {name: changed})
                if one.op.kind == "CONCATENATION"]
    assert again.wrong.sum() == 8 and again.wrong[0, 0, :8].all()


@pytest.mark.parametrize(("zeros", "reason"), [
    (1, None), (2, "the zero point of its input must be one number")])
def test_an_input_of_matmulinteger_has_one_zero_point(zeros: int, reason: str | None) -> None:
    """ONNX Runtime takes no vector either; the first of several was used."""
    b = OnnxBuilder(7)
    bytes_ = b.nodes_of("DynamicQuantizeLinear", [b.input((2, 8))], 3)
    y = b.node("MatMulInteger", [bytes_[0], b.constant(b.rng.integers(-9, 9, (8, 5), np.int8)),
                                 b.constant(np.arange(zeros).astype(np.uint8))])
    graph = read_graph(b.model(b.node("Cast", [y], to=1)), "m.onnx").graph
    limits = [op.attributes["limit"] for op in graph.ops if op.rule == "onnxruntime"]
    assert limits == ([] if reason is None else [f"{reason}; quantise it by tensor"])
