"""Functions of one value that exporters write in pieces: rounded once, a table on the device."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import kaniwa
from kaniwa import golden
from kaniwa.importers import load_model
from kaniwa.quantization.functions import inner_operators
from kaniwa.quantization.quantize import quantize
from kaniwa.quantization.recipe import Recipe

ROWS, DEPTH = 6, 16
# Of each function its nodes: kind, operands, result. A number is a constant; x is read, y made.
FUNCTIONS = {
    "gelu": [("Div", "x", 2 ** 0.5, "a"), ("Erf", "a", "b"), ("Add", "b", 1.0, "c"),
             ("Mul", "x", "c", "d"), ("Mul", "d", 0.5, "y")],
    "gelu by tanh": [("Pow", "x", 3.0, "a"), ("Mul", "a", 0.044715, "b"), ("Add", "x", "b", "c"),
                     ("Mul", "c", (2 / np.pi) ** 0.5, "d"), ("Tanh", "d", "e"),
                     ("Add", "e", 1.0, "f"), ("Mul", "x", 0.5, "g"), ("Mul", "g", "f", "y")],
    "mish": [("Softplus", "x", "a"), ("Tanh", "a", "b"), ("Mul", "x", "b", "y")],
    "hard swish": [("Add", "x", 3.0, "a"), ("Clip", "a", 0.0, 6.0, "b"), ("Mul", "x", "b", "c"),
                   ("Div", "c", 6.0, "y")],
}
SILU = [("Sigmoid", "x", "a"), ("Mul", "x", "a", "y")]


def model_of(function, spread=0.5):
    """Two linear layers with the function between; ``spread`` of the weights of the first one."""
    rng = np.random.default_rng(5)
    constants = {name: rng.normal(0, deviation, (DEPTH, DEPTH)).astype(np.float32)
                 for name, deviation in (("v", spread), ("w", 0.5))}
    nodes = [helper.make_node("MatMul", ["input", "v"], ["x"])]
    for number, (kind, *operands, result) in enumerate(function):
        names = [value if isinstance(value, str) else f"number{number}_{place}"
                 for place, value in enumerate(operands)]
        constants.update({name: np.float32(value) for name, value in zip(
            names, operands, strict=True) if not isinstance(value, str)})
        nodes.append(helper.make_node(kind, names, [result], name=f"{kind}{number}"))
    nodes.append(helper.make_node("MatMul", [nodes[-1].output[0], "w"], ["output"]))
    return helper.make_model(helper.make_graph(
        nodes, "layers",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [ROWS, DEPTH])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [ROWS, DEPTH])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def outcome(tmp_path, model, **recipe):
    """The file of the quantised model, and its errors."""
    onnx.save(model, tmp_path / "model.onnx")
    x = np.random.default_rng(1).normal(size=(16, ROWS, DEPTH)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", input=x)
    found = quantize(tmp_path / "model.onnx", tmp_path / "samples.npz", Recipe(**recipe))
    (tmp_path / "made.onnx").write_bytes(found.data)
    return tmp_path / "made.onnx", {row.name: row for row in found.activations}


@pytest.mark.parametrize("activations", ["int8", "uint8"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_pieces_are_a_table(tmp_path, name, activations):
    path, rows = outcome(tmp_path, model_of(FUNCTIONS[name]), activations=activations)
    assert {"x", "y"} <= rows.keys()
    assert not {result for *_, result in FUNCTIONS[name][:-1]} & rows.keys()
    graph = load_model(path)
    program = kaniwa.compile(graph, target="base", require_accelerator=False)
    assert {op.kind for op in program.host_ops} <= {"QUANTIZE", "DEQUANTIZE"}
    inputs = {"input": np.random.default_rng(2).normal(size=(ROWS, DEPTH)).astype(np.float32)}
    expected = golden.run(graph, inputs)[graph.outputs[0]]
    with kaniwa.open("emulator") as device:
        (got,) = kaniwa.Session(program, device).run(inputs).values()
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("spread", "gain"), [(0.5, 1), (2, 10)])
def test_a_function_is_nearer_than_its_pieces(tmp_path, monkeypatch, spread, gain):
    model = model_of(FUNCTIONS["gelu by tanh"], spread)
    _, whole = outcome(tmp_path, model)
    monkeypatch.setattr("kaniwa.quantization.onnx_runtime.inner_operators", lambda graph: [])
    _, pieces = outcome(tmp_path, model)
    assert whole["y"].signal_to_noise_db > pieces["y"].signal_to_noise_db + gain


def inner(function):
    """The results of the pieces that are left in float32."""
    graph = model_of(function).graph
    names = inner_operators(graph)
    return [node.output[0] for node in graph.node if node.name in names]


@pytest.mark.parametrize(("function", "found"), [
    *((function, [result for *_, result in function]) for function in FUNCTIONS.values()),
    ([*SILU, ("Add", "y", "a", "z")], ["a", "y", "z"]),     # x sigmoid(x) + sigmoid(x)
    (SILU, []),                                              # two operators lose nothing
    ([*FUNCTIONS["mish"], ("ReduceMax", "x", "most"), ("Add", "y", "most", "z")], ["a", "b", "y"]),
    ([*FUNCTIONS["mish"], ("ReduceMax", "a", "most"), ("Add", "y", "most", "z")], []),
    ([("Relu", "x", "a"), ("Exp", "a", "b"), ("Mul", "b", 0.5, "c"), ("Add", "c", 1.0, "y")],
     ["b", "c", "y"])], ids=[*FUNCTIONS, "larger", "two", "row behind", "read by others", "limit"])
def test_functions_of_one_value_are_found(function, found):
    assert inner(function) == found


def test_pieces_of_16_bits_are_not_left_in_float(tmp_path):
    _, rows = outcome(tmp_path, model_of(FUNCTIONS["hard swish"]), activations="int16")
    assert {"b", "c"} <= rows.keys()
