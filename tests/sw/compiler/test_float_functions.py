"""Functions that a model leaves in float32, and sums with a constant, as tables of 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
from builders.exactness import assert_equals_golden
from builders.files.onnx_models import OnnxBuilder
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.importers.onnx.model import import_onnx

FUNCTIONS = {"SOFTPLUS", "TANH", "ABS", "SQRT", "DIV", "LOGISTIC", "EXP", "LOG"}
SHAPE = (1, 4, 8, 8)


def graph_of(b: OnnxBuilder, *nodes: str, second: bool = False) -> Graph:
    """Functions of a quantised tensor, none of whose results but the last is quantised; with
    ``second`` the last of two tensors."""
    x = b.activation(SHAPE, 0.03)
    y = b.quantized(b.node("Relu", [x]), 0.02)
    for node in nodes:
        y = b.node(node, [b.constant(np.float32(1.5)), y] if node == "Div" else [y])
    if second:
        y = b.node("Mul", [y, b.node("Tanh", [x])])
    return import_onnx(b.model(b.quantized(y, 0.02)), "test.onnx")


def outputs(graph: Graph, x: np.ndarray, target: str) -> np.ndarray:
    session = Session(compile(graph, target), devices.open("emulator", target))
    (got,) = session.run([x]).values()
    return np.asarray(got)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("nodes", [("Softplus", "Tanh"), ("Abs", "Exp", "Div"),
                                   ("Sigmoid", "Exp", "Log", "Tanh")])
def test_a_chain_in_float32_is_a_table(nodes: tuple[str, ...], dtype: str) -> None:
    graph = graph_of(OnnxBuilder(3, dtype), *nodes)
    assert sum(op.kind in FUNCTIONS for op in graph.ops) == len(nodes)
    x = np.linspace(-4, 4, 256, dtype=np.float32).reshape(SHAPE)
    for target in ("base", "nano"):
        program = compile(graph, target)
        assert not FUNCTIONS.intersection(op.kind for op in program.host_ops)
        np.testing.assert_array_equal(outputs(graph, x, target),
                                      golden.run(graph, [x])[graph.outputs[0]])


def test_what_hangs_on_two_tensors_stays_the_hosts() -> None:
    graph = graph_of(OnnxBuilder(3), "Softplus", "Tanh", second=True)
    x = np.linspace(-4, 4, 256, dtype=np.float32).reshape(SHAPE)
    assert "SOFTPLUS" in {op.kind for op in compile(graph, "base").host_ops}
    np.testing.assert_array_equal(outputs(graph, x, "base"),
                                  golden.run(graph, [x])[graph.outputs[0]])


def test_what_is_not_defined_for_all_values_stays_the_hosts() -> None:
    graph = graph_of(OnnxBuilder(3), "Neg", "Sqrt", "Tanh")
    assert "SQRT" in {op.kind for op in compile(graph, "base").host_ops}


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_sum_with_a_constant_next_to_ties_is_a_table(kind: str, swapped: bool) -> None:
    """The steps of the operands are nearly 2 : 1, as of x + 1: no tables of two operands would
    round all their sums as ``qdq`` does."""
    b = GraphBuilder()
    x = b.tensor((1, 16, 16, 1), 0.007843134924769402, -1)
    one = b.tensor((1, 1, 1, 1), 0.003921568859368563, -128, np.full((1, 1, 1, 1), 127, np.int8))
    y = b.tensor((1, 16, 16, 1), 0.007843135856091976, -128)
    pair = (one, x) if swapped else (x, one)
    graph = b.graph((x,), (b.op(kind, pair, y, "qdq", activation="NONE", bounds=(-128, 127)),))
    program = compile(graph, "base", require_accelerator=True)
    assert_equals_golden(program, graph)
    every = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(outputs(graph, every, "base"),
                                  golden.run(graph, [every])[graph.outputs[0]])
