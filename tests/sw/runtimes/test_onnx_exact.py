"""Sums of integers in ONNX Runtime are exact on every processor."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from kaniwa.runtimes.onnx_exact import exact_options, exact_weights

TYPES = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8}
DEPTH = 64


def product(a: str, b: str, constant: bool, zero_points: bool) -> bytes:
    """MatMulInteger of [1, DEPTH] and [DEPTH, 3], the largest values of their types."""
    inputs = [helper.make_tensor_value_info("a", TYPES[a], [1, DEPTH])]
    constants = [numpy_helper.from_array(np.array(3, dtype), name)
                 for name, dtype in (("za", a), ("zb", b)) if zero_points]
    if constant:
        constants.append(numpy_helper.from_array(largest(b, (DEPTH, 3)), "b"))
    else:
        inputs.append(helper.make_tensor_value_info("b", TYPES[b], [DEPTH, 3]))
    node = helper.make_node("MatMulInteger", ["a", "b", *(["za", "zb"] * zero_points)], ["y"])
    graph = helper.make_graph([node], "g", inputs, [
        helper.make_tensor_value_info("y", TensorProto.INT32, [1, 3])], constants)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)],
                                   ir_version=8).SerializeToString())


def largest(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.iinfo(dtype).max, dtype)


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("zero_points", [True, False])
@pytest.mark.parametrize("a, b", [("uint8", "int8"), ("int8", "int8"), ("uint8", "uint8")])
def test_products_of_large_numbers_do_not_saturate(a: str, b: str, zero_points: bool,
                                                   constant: bool) -> None:
    model = product(a, b, constant, zero_points)
    values = {"a": largest(a, (1, DEPTH)), "b": largest(b, (DEPTH, 3))}
    less = 3 if zero_points else 0
    expected = (values["a"].astype(np.int64) - less) @ (values["b"].astype(np.int64) - less)
    session = onnxruntime.InferenceSession(exact_weights(model), exact_options())
    fed = {name: values[name] for name in ("a", "b")[:1 if constant else 2]}
    np.testing.assert_array_equal(session.run(None, fed)[0], expected)


def test_only_products_of_uint8_and_int8_are_changed() -> None:
    for a, b in (("int8", "int8"), ("uint8", "uint8")):
        model = product(a, b, True, True)
        assert onnx.load_model_from_string(exact_weights(model)) == onnx.load_model_from_string(
            model)
    (node,) = onnx.load_model_from_string(exact_weights(
        product("uint8", "int8", True, False))).graph.node
    assert list(node.input) == ["a", "b:uint8", "", "kaniwa:middle"]
