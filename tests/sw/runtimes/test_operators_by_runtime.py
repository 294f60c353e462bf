"""Operators that golden lacks: the framework's runtime does each as it does the whole model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from builders.files.onnx_models import OnnxBuilder
from builders.files.runtime_models import (
    ONNX_CASES,
    SPECTRA,
    TFLITE_CASES,
    LiteCase,
    onnx_mixed,
    tflite_spectrum,
)

import kaniwa
from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.errors import Error, ModelError, UnsupportedError
from kaniwa.graph import Graph
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.runtimes import NAMES
from kaniwa.runtimes.litert_table import CUSTOM, OPERATORS
from kaniwa.runtimes.onnx_exact import exact_options, exact_weights
from kaniwa.verify.litert import LiteRT


def whole_model(data: bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(exact_weights(data), exact_options()).run(None, inputs)


def on_emulator(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with kaniwa.open("emulator") as device:
        return kaniwa.Session(kaniwa.compile(graph, target="base"), device).run(inputs)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", ONNX_CASES)
def test_onnx_operators_are_onnx_runtimes(kind: str, dtype: str) -> None:
    b = OnnxBuilder(7, dtype)
    data = b.model(ONNX_CASES[kind](b))
    graph = import_onnx(data, "net.onnx")
    assert kind in {op.kind for op in graph.ops if op.rule == "onnxruntime"}
    inputs = b.samples(1.0)
    ours = golden.run(graph, inputs)[graph.outputs[0]]
    (theirs,) = whole_model(data, inputs)
    # The convolution before it may differ by a step next to a tie, which these inputs do not meet.
    np.testing.assert_array_equal(ours, theirs)
    (emulated,) = on_emulator(graph, inputs).values()
    np.testing.assert_array_equal(emulated, ours)


def values_of(case: LiteCase) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(0, 3, shape).astype(dtype) if dtype == "float32"
            else rng.integers(0, 2, shape).astype(dtype) for shape, dtype in case.inputs]


@pytest.mark.parametrize("case", TFLITE_CASES, ids=lambda case: case.kind)
def test_tflite_operators_are_litert(case: LiteCase) -> None:
    data = case.model()
    graph = import_tflite(data, "m.tflite")
    assert [(op.kind, op.rule) for op in graph.ops] == [(case.kind, "litert")]
    is_litert(data, graph, values_of(case))


@pytest.mark.parametrize("behind", SPECTRA)
def test_spectra_are_litert(behind: str) -> None:
    data = tflite_spectrum(behind)
    graph = import_tflite(data, "m.tflite")
    assert [op.kind for op in graph.ops] == ["RFFT2D", "SQUEEZE", behind]
    why = {op.kind: op.why for op in kaniwa.compile(graph).host_ops}
    assert why["SQUEEZE"] == "'spectrum' is complex64, which only the host computes"
    is_litert(data, graph, [np.random.default_rng(2).normal(0, 1, (1, 5, 1, 16)).astype("<f4")])


@pytest.mark.parametrize(("lengths", "bins"), [
    ((1, 0), 1), ((1, -16), 9), ((1, 12), 7), ((2, 16), 9), ((1, 1 << 30), 9)])
def test_lengths_that_are_no_spectrums(lengths: tuple[int, int], bins: int) -> None:
    with pytest.raises(UnsupportedError, match="no spectrum of lengths of powers of two"):
        import_tflite(tflite_spectrum("REAL", lengths, bins), "m.tflite")


def test_complex_outputs_are_refused() -> None:
    b = ModelBuilder()
    x, y = b.tensor("x", (1, 5, 1, 16), "float32"), b.tensor("y", (1, 5, 1, 9), "complex64")
    b.op("RFFT2D", [x, b.tensor("n", (2,), "int32", data=np.array([1, 16], np.int32))], [y])
    with pytest.raises(UnsupportedError, match="output 'y' is complex64; cut the model where"):
        import_tflite(b.build([x], [y]), "m.tflite")


def test_results_follow_the_shapes_that_the_caller_gives() -> None:
    b = ModelBuilder()
    x, y = b.tensor("x", (1, 3), "float32", signature=(-1, 3)), b.tensor("y", (1, 3), "float32")
    b.op("SIN", [x], [y])
    graph = import_tflite(b.build([x], [y]), "m.tflite", {"x": (4, 3)})
    assert [graph.tensors[i].shape for i in (x, y)] == [(4, 3), (4, 3)]


def is_litert(data: bytes, graph: Graph, values: list[np.ndarray]) -> None:
    """LiteRT on the whole model, golden and the emulator agree."""
    ours, theirs = golden.run(graph, values), LiteRT(data, graph).run(values)
    names = [graph.tensors[i].name for i in graph.inputs]
    emulated = on_emulator(graph, dict(zip(names, values, strict=True)))
    for i in graph.outputs:
        np.testing.assert_array_equal(ours[i], theirs[i])
        np.testing.assert_array_equal(emulated[graph.tensors[i].name], ours[i])


def test_every_operator_of_the_table_has_a_case() -> None:
    cases = {case.kind for case in TFLITE_CASES} | {"RFFT2D", *SPECTRA} - {"CAST"}
    assert cases == {*OPERATORS, *CUSTOM}


def test_the_document_lists_the_table(root: Path) -> None:
    text = (root / "docs" / "operators.md").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("| TFLite | "))
    named = re.findall(r"\b(?:[A-Z][A-Z0-9_]{2,}|AudioSpectrogram|Mfcc)\b", line)
    assert named == [*sorted(OPERATORS), *CUSTOM]


def test_shape_arithmetic_of_operators_without_a_kernel_is_done_at_import() -> None:
    b = OnnxBuilder(5)
    x = b.activation((1, 2, 4, 4))
    size = b.node("Where", [b.constant(np.array([True, False])), b.constant(np.array([1, 1])),
                            b.constant(np.array([32, 32]))])
    graph = import_onnx(b.model(b.node("Reshape", [x, size])), "net.onnx")
    assert graph.tensors[graph.outputs[0]].shape == (1, 32)
    assert not any(op.rule in NAMES for op in graph.ops)


# Limits --------------------------------------------------------------------------------------


def refused(draw) -> str:
    b = OnnxBuilder(6)
    with pytest.raises(UnsupportedError) as caught:
        import_onnx(b.model(draw(b)), "net.onnx")
    assert re.match(r"net\.onnx: node \d+ \w+ '\w+': .*", str(caught.value))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "reason"), [
    ("NonZero", "the shape of its result depends on values"),
    ("Unique", "the shape of its result depends on values"),
    ("RandomNormalLike", "gives other values each time"),
    ("SequenceConstruct", "its result is a seq(tensor(float)), which kaniwa has not"),
    ("Nonsense", "No Op registered for Nonsense"),
])
def test_limits_of_onnx_are_named(kind: str, reason: str) -> None:
    line = refused(lambda b: b.node(kind, [b.activation((1, 3))]))
    assert reason in line and "`kaniwa operators`" in line


def test_golden_s_limit_is_the_reason_where_the_runtime_does_a_known_operator() -> None:
    b = OnnxBuilder(7)
    program = kaniwa.compile(import_onnx(b.model(ONNX_CASES["Conv"](b)), "net.onnx"))
    assert {op.kind: op.why for op in program.host_ops if op.rule in NAMES} == dict.fromkeys((
        "Conv", "MaxPool"), "golden has no kernel for it: works on 3 dimensions; one and two are "
        "supported")


def test_float_models_are_still_refused() -> None:
    line = refused(lambda b: b.node("Det", [b.input((1, 3, 3))]))
    assert "quantise the model to int8" in line


@pytest.mark.parametrize(("kind", "dtype", "reason"), [
    ("WHERE", "float32", "the shape of its result depends on values"),
    ("WHILE", "float32", "has subgraphs of its own"),
    ("RNN", "float32", "keeps values from one inference to the next"),
    ("MULTINOMIAL", "float32", "gives other values each time"),
    ("SPARSE_TO_DENSE", "float32", "LiteRT does not check where it reads and writes"),
    ("STABLEHLO_ADD", "float32", "is an operator of StableHLO"),
    ("MyOp", "float32", "LiteRT does not know it"),
    ("ROUND", "int8", "Type 'INT8' is not supported by round"),
    ("ATAN2", "float32", "has 1 operands and 1 results"),
    ("FAKE_QUANT", "int32", "its first operand is int32, must be float32"),
])
def test_limits_of_tflite_are_named(kind: str, dtype: str, reason: str) -> None:
    b = ModelBuilder()
    x, y = (b.tensor(name, (2, 3), dtype) for name in "xy")
    b.op(kind, [x], [y])
    with pytest.raises(UnsupportedError) as caught:
        import_tflite(b.build([x], [y]), "m.tflite")
    assert f": operator is not supported: {reason}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strides_that_litert_would_divide_by_are_checked() -> None:
    b = ModelBuilder()
    x, y = b.tensor("x", (1, 4, 4, 2), "float32"), b.tensor("y", (1, 4, 4, 2), "float32")
    b.op("L2_POOL_2D", [x], [y], "Pool2DOptions", StrideH=0, StrideW=1, FilterHeight=1,
         FilterWidth=1)
    with pytest.raises(ModelError, match="has a stride, a size or a dilation below 1"):
        import_tflite(b.build([x], [y]), "m.tflite")


def test_values_that_a_runtime_refuses_end_in_one_line() -> None:
    case = next(c for c in TFLITE_CASES if c.kind == "EMBEDDING_LOOKUP")
    graph = import_tflite(case.model(), "m.tflite")
    with pytest.raises(ModelError, match=r"op 0 EMBEDDING_LOOKUP 'y0': LiteRT refuses the values"):
        golden.run(graph, [np.array([0, -1, 99], np.int32)])
    b = OnnxBuilder(1)
    x, places = b.activation((1, 8)), b.input((1, 2), "int64")
    graph = import_onnx(b.model(b.node("GatherElements", [x, places], axis=1)), "net.onnx")
    with pytest.raises(ModelError, match="ONNX Runtime refuses the values of its operands") as e:
        golden.run(graph, [np.zeros((1, 8), np.float32), np.array([[0, 1 << 40]])])
    assert "\n" not in str(e.value)


def test_changed_models_end_in_a_graph_or_an_error() -> None:
    """Damage within the bytes of names and numbers, so that many files still parse."""
    data, rng = onnx_mixed(), np.random.default_rng(0)
    taken = 0
    for _ in range(60):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 2):
            damaged[int(at)] ^= 1 << int(rng.integers(0, 8))
        try:
            import_onnx(bytes(damaged), "net.onnx")
            taken += 1
        except Error as error:
            assert "\n" not in str(error)
    assert 0 < taken < 60
