"""int8 functions of one operand become tables on the accelerator."""

import numpy as np
import pytest
from builders.files import tflite_layers as layers

from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.compiler.operators.table import FUNCTIONS, WITH_CONSTANT
from kaniwa.compiler.pipeline import compile, plan_model
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.plan import Options
from kaniwa.config import PRESETS
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.importers import OPERATORS
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.outside import parse_outside
from kaniwa.verify.diff import diff

EVERY = np.arange(-128, 128).astype(np.int8)
# Options, and scale and zero point of input and output where not (0.05, -128) and (0.04, 3).
CASES = {
    "LOGISTIC": ({}, (0.05, 7), (1 / 256, -128)),
    "TANH": ({}, (0.03, 7), (1 / 128, 0)),
    "ELU": ({}, (0.05, 9), (0.05, -100)),
    "GELU": ({"Approximate": False}, (0.05, 9), (0.05, -100)),
    "HARD_SWISH": ({}, (0.05, 9), (0.05, -100)),
    "LEAKY_RELU": ({"Alpha": 0.3}, (0.05, 9), (0.04, 3)),
    "PRELU": ({}, (0.05, 9), (0.04, 3)),
    "EXP": ({}, (0.01, 9), (0.04, -20)),
}


def model(kind: str, alpha: tuple[int, ...] = (1, 1, 1), x_zero: int | None = None,
          shape: tuple[int, ...] = (1, 16, 8, 2)) -> bytes:
    options, x_q, y_q = CASES.get(kind, ({}, (0.05, -128), (0.04, 3)))
    b = ModelBuilder()
    x = b.tensor("x", shape, scale=x_q[0], zero_point=x_q[1] if x_zero is None else x_zero)
    y = b.tensor("y", shape, scale=y_q[0], zero_point=y_q[1])
    operands = [x]
    if kind == "PRELU":
        data = np.arange(np.prod(alpha)).reshape(alpha).astype(np.int8) - 50
        operands.append(b.tensor("alpha", alpha, scale=0.01, zero_point=3, data=data))
    b.op(kind, operands, [y], **options)
    return b.build([x], [y])


def only_layer(graph: Graph) -> ArrayLayer:
    (layer,) = plan_model(graph, PRESETS["base"], Options(outside=parse_outside("ideal"))).layers
    return layer


@pytest.mark.parametrize("kind", [
    kind for kind in (*FUNCTIONS, "PRELU") if kind in OPERATORS])
def test_table_is_the_reference_and_so_is_the_emulator(kind: str) -> None:
    graph = import_tflite(model(kind), "function.tflite")
    layer = only_layer(graph)
    every = EVERY.reshape(1, 16, 8, 2)
    expected = golden.run(graph, [every])[graph.outputs[0]]
    assert layer.op == kind and layer.table is not None and len(np.unique(layer.table)) > 2
    assert np.array_equal(layer.table, expected.ravel())
    assert layer.macs == 0
    program = compile(graph, "base", outside="ideal")
    assert diff(program, ["golden", "emulator"], {"x": every})["first_difference"] is None
    session = Session(program, EmulatorDevice())
    assert np.array_equal(session.run([every])["y"], expected)


def test_function_comes_behind_the_layer_that_makes_its_input() -> None:
    rng = np.random.default_rng(0)
    b = ModelBuilder()
    x = b.tensor("x", [1, 20], scale=0.1, zero_point=0)
    w = b.tensor("w", [6, 20], scale=0.01, zero_point=0, data=layers.int8(rng, (6, 20)))
    u, v = (b.tensor(n, [1, 6], scale=0.1, zero_point=5) for n in "uv")
    y = b.tensor("y", [1, 6], scale=1 / 256, zero_point=-128)
    b.op("FULLY_CONNECTED", [x, w], [u])
    b.op("LEAKY_RELU", [u], [v], Alpha=0.1)
    b.op("LOGISTIC", [v], [y])
    graph = import_tflite(b.build([x], [y]), "dense.tflite")
    assert only_layer(graph).op == "FULLY_CONNECTED+LEAKY_RELU+LOGISTIC"
    program = compile(graph, "small")
    for materialize in (False, True):
        program = compile(graph, "small", materialize=materialize)
        for _ in range(4):
            sample = {"x": layers.int8(rng, (1, 20))}
            assert diff(program, ["golden", "emulator"], sample)["first_difference"] is None


@pytest.mark.parametrize("kind", ["SQRT", "RSQRT"])
def test_root_of_what_may_be_negative_is_no_table(kind: str) -> None:
    graph = import_tflite(model(kind, x_zero=0), "root.tflite")
    with pytest.raises(CompileError, match=f"^root.tflite: op 0 {kind} 'y': it is not defined "
                                           "for every value of 'x'; quantize the input with"):
        compile(graph, "base", require_accelerator=True)


def with_constant(kind: str, first: bool, shape: tuple[int, ...] = (1, 16, 8, 2),
                  values: tuple[int, ...] = (9,)) -> Graph:
    b, q = ModelBuilder(), {"scale": 0.05, "zero_point": -3}
    x = b.tensor("x", shape, **q)
    c = b.tensor("c", [len(values)], data=np.array(values, np.int8), **q)
    y_q = {**q, "scale": 0.01} if kind == "DIV" else q
    y = b.tensor("y", np.broadcast_shapes(shape, (len(values),)), **y_q)
    b.op(kind, [c, x] if first else [x, c], [y])
    return import_tflite(b.build([x], [y]), "constant.tflite")


OF_TWO = ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")      # of two computed operands as well


@pytest.mark.parametrize("kind, first", [
    (kind, first) for kind in (*WITH_CONSTANT, *OF_TWO) for first in (False, True)
    if not (first and kind in ("DIV", "FLOOR_DIV"))])
def test_constant_leaves_a_function_of_one_operand(kind: str, first: bool) -> None:
    graph = with_constant(kind, first)
    layer = only_layer(graph)
    every = EVERY.reshape(1, 16, 8, 2)
    expected = golden.run(graph, [every])[graph.outputs[0]]
    assert layer.op == kind and len(np.unique(expected)) > 2
    assert layer.table is not None and np.array_equal(layer.table, expected.ravel())
    program = compile(graph, "base", outside="ideal")
    assert diff(program, ["golden", "emulator"], {"x": every})["first_difference"] is None


def test_constants_that_leave_no_table_are_named() -> None:
    for graph, reason in (
        (with_constant("DIV", False, values=(1, 2)), "'c' is not one constant value"),
        (with_constant("MINIMUM", False, (4, 1), (7, 7)), "'x' is broadcast from"),
        (with_constant("DIV", True), "it is not defined for every value of 'x'; change the const"),
    ):
        with pytest.raises(CompileError, match=f"^constant.tflite: op 0 .* 'y': {reason}"):
            compile(graph, "base", require_accelerator=True)
