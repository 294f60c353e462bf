"""Results of ONNX Runtime's operators: their shapes, and operators beyond golden's limits."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from builders.files.onnx_models import OnnxBuilder

from kaniwa import golden
from kaniwa.errors import UnsupportedError
from kaniwa.graph import Graph
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.runtimes import NAMES
from kaniwa.runtimes.onnx_exact import exact_options, exact_weights

MICROSOFT = "com.microsoft"


def compared(b: OnnxBuilder, output: str, spread: float = 1.0) -> Graph:
    """The graph, whose result is that of ONNX Runtime for the whole model."""
    data = b.model(output)
    graph = import_onnx(data, "net.onnx")
    feeds = b.samples(spread)
    (theirs,) = onnxruntime.InferenceSession(exact_weights(data), exact_options()).run(None, feeds)
    ours = golden.run(graph, feeds)[graph.outputs[0]]
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_array_equal(ours, theirs)
    return graph


def by_runtime(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops if op.rule in NAMES]


# Shapes --------------------------------------------------------------------------------------


def distances(b: OnnxBuilder) -> str:
    return b.node("CDist", [b.activation((4, 3)), b.activation((5, 3))], domain=MICROSOFT,
                  metric="euclidean")


def with_bias(b: OnnxBuilder) -> str:
    return b.node("BiasGelu", [b.activation((3, 8)), b.activation((8,))], domain=MICROSOFT)


def determinant(b: OnnxBuilder) -> str:
    return b.node("Det", [b.activation((3, 3))])


@pytest.mark.parametrize(("draw", "shape"), [
    (distances, (4, 5)), (with_bias, (3, 8)), (determinant, ())])
def test_shapes_that_are_not_inferred_are_found_by_a_run(draw, shape: tuple[int, ...]) -> None:
    b = OnnxBuilder(1)
    graph = compared(b, draw(b))
    assert graph.tensors[graph.outputs[0]].shape == shape and by_runtime(graph)


def test_a_shape_that_values_decide_is_refused_not_taken_as_a_scalar() -> None:
    b = OnnxBuilder(2)
    y = b.node("Squeeze", [b.activation((1, 3)), b.input((1,), "int64")])
    with pytest.raises(UnsupportedError, match="its shape must be a constant") as caught:
        import_onnx(b.model(y), "net.onnx")
    assert "\n" not in str(caught.value)


# Operators beyond golden's limits ------------------------------------------------------------


def of_two_activations(b: OnnxBuilder) -> str:
    a, w = (b.nodes_of("DynamicQuantizeLinear", [b.input((4, 4))], 3) for _ in range(2))
    y = b.node("MatMulInteger", [a[0], w[0], a[2], w[2]])
    return b.node("Mul", [b.node("Cast", [y], to=1), b.node("Mul", [a[1], w[1]])])


def vector_by_matrix(b: OnnxBuilder) -> str:
    return b.quantized(b.node("MatMul", [b.activation((8,)), b.activation((8, 5))]), 0.05)


def matrix_by_vector(b: OnnxBuilder) -> str:
    return b.quantized(b.node("MatMul", [b.activation((5, 8)), b.weights((8,))]), 0.05)


def lstm(peepholes: bool, outputs: tuple[int, ...] = (0, 1, 2), **attributes: object) -> object:
    def made(b: OnnxBuilder) -> str:
        def numbers(*shape: int) -> str:
            return b.constant(b.rng.normal(0, 0.5, shape).astype(np.float32))

        inputs = [b.activation((5, 1, 3)), b.weights((1, 16, 3)), b.weights((1, 16, 4)),
                  numbers(1, 32)]
        inputs += ["", "", "", numbers(1, 12)] if peepholes else []
        results = b.nodes_of("LSTM", inputs, 3, hidden_size=4, **attributes)
        for i in {0, 1, 2}.difference(outputs):
            b.nodes[-1].output[i] = ""
        return b.quantized(results[outputs[0]], 0.01)
    return made


@pytest.mark.parametrize(("draw", "kind"), [
    (of_two_activations, "MatMulInteger"), (vector_by_matrix, "MatMul"),
    (matrix_by_vector, "MatMul"), (lstm(True), "LSTM"), (lstm(False, clip=0.4), "LSTM"),
    (lstm(True, (1,)), "LSTM"), (lstm(False, (2, 0), input_forget=1), "LSTM"),
], ids=["MatMulInteger", "vector", "column", "peepholes", "clip", "last", "forget"])
def test_onnx_runtime_does_what_is_beyond_golden(draw, kind: str) -> None:
    b = OnnxBuilder(3)
    assert by_runtime(compared(b, draw(b))) == [kind]


def test_a_vector_by_constant_weights_is_golden_s() -> None:
    b = OnnxBuilder(4)
    graph = compared(b, b.quantized(b.node("MatMul", [b.activation((8,)), b.weights((8, 5))]), 0.1))
    assert not by_runtime(graph) and graph.tensors[graph.outputs[0]].shape == (5,)
