"""Files of every ONNX operator with something changed: a graph, or an error in one line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from builders.files.onnx_models import OnnxBuilder
from builders.files.onnx_operators import DRAWS
from builders.files.onnx_partly_float import PARTLY_FLOAT, PREAMBLES
from onnx import numpy_helper

from kaniwa import golden
from kaniwa.errors import Error
from kaniwa.importers.onnx.model import import_onnx

MODELS = (*DRAWS.values(), *PARTLY_FLOAT, *PREAMBLES)
NUMBERS = (-(1 << 40), -1, 0, 1, 2, 3, 7, 1 << 40)


def change_attribute(graph: onnx.GraphProto, rng: np.random.Generator) -> None:
    attributes = [a for node in graph.node for a in node.attribute]
    if not attributes:
        return
    attribute = attributes[rng.integers(len(attributes))]
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = int(rng.choice(NUMBERS))
    elif attribute.type == onnx.AttributeProto.INTS and attribute.ints:
        attribute.ints[rng.integers(len(attribute.ints))] = int(rng.choice(NUMBERS))
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = float(rng.choice([0, -1, np.nan, np.inf, 1e30]))
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = (b"", b"x", b"\xff")[rng.integers(3)]


def change_constant(graph: onnx.GraphProto, rng: np.random.Generator) -> None:
    if not graph.initializer:
        return
    tensor = graph.initializer[rng.integers(len(graph.initializer))]
    array = numpy_helper.to_array(tensor)
    bad = np.nan if array.dtype.kind == "f" else 100
    others = (array.reshape(-1), np.zeros_like(array), np.stack([array, array]),
              array.astype(np.float64), np.full_like(array, bad), array[..., :0]
              if array.ndim else array)
    tensor.CopyFrom(numpy_helper.from_array(others[rng.integers(len(others))], tensor.name))


def change_operand(graph: onnx.GraphProto, rng: np.random.Generator) -> None:
    names = ["", "nowhere", *(i.name for i in graph.input), *(c.name for c in graph.initializer),
             *(o for node in graph.node for o in node.output)]
    node = graph.node[rng.integers(len(graph.node))]
    if len(node.input) > 1 and rng.random() < 0.3:
        del node.input[-1]
    else:
        node.input[rng.integers(len(node.input))] = names[rng.integers(len(names))]


def change_kind(graph: onnx.GraphProto, rng: np.random.Generator) -> None:
    kinds = ["Pad", "Resize", "TopK", "Einsum", "Max", "RNN", "Cast", "Gemm", "PRelu", "Tile",
             "ArgMax", "LpPool", "NonMaxSuppression", *(node.op_type for node in graph.node)]
    graph.node[rng.integers(len(graph.node))].op_type = kinds[rng.integers(len(kinds))]


def change_input(graph: onnx.GraphProto, rng: np.random.Generator) -> None:
    dims = graph.input[rng.integers(len(graph.input))].type.tensor_type.shape.dim
    if dims:
        dims[rng.integers(len(dims))].dim_value = int(rng.choice([0, 1, 2, 9, 64]))


CHANGES = (change_attribute, change_constant, change_operand, change_kind, change_input)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_a_graph_that_runs_or_an_error_in_a_line(
        change: Callable[[onnx.GraphProto, np.random.Generator], None]) -> None:
    refused = 0
    for seed, draw in enumerate(MODELS * 2):
        b = OnnxBuilder(seed, ("int8", "uint8", "int16")[seed % 3])
        model = onnx.load_model_from_string(b.model(b.quantized(draw(b))))
        change(model.graph, b.rng)
        try:
            graph = import_onnx(model.SerializeToString(), "net.onnx")
            sample = [b.rng.normal(0, 3, graph.tensors[i].shape).astype(graph.tensors[i].dtype)
                      for i in graph.inputs]
            if sum(tensor.size for tensor in sample) < 10_000:
                golden.run(graph, sample)
        except Error as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 5
