"""ONNX files: what is imported, what is refused with which words, and damaged files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from builders.files.malformed import damage
from builders.files.onnx_models import OnnxBuilder
from onnx import TensorProto, helper, numpy_helper

from kaniwa import golden
from kaniwa.errors import Error, ModelError, UnsupportedError
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.importers.onnx.model import import_onnx, read_graph

MODELS = Path(__file__).parents[3] / "models"
RESNET = MODELS / "onnx_mlperf_ic_qdq.onnx"


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def small_network(dtype: str = "int8") -> bytes:
    """Convolution, sum, pooling, a flattened map times a matrix."""
    b = OnnxBuilder(1, dtype)
    x = b.activation((1, 3, 6, 6))
    a = b.quantized(b.node("Relu", [b.node("Conv", [x, b.weights((4, 3, 3, 3))], pads=[1] * 4)]))
    c = b.quantized(b.node("Conv", [a, b.weights((4, 4, 1, 1))]))
    pooled = b.node("MaxPool", [b.quantized(b.node("Add", [a, c]))], kernel_shape=[2, 2],
                    strides=[2, 2])
    y = b.node("Gemm", [b.node("Flatten", [pooled]), b.weights((36, 5))])
    return b.model(b.node("Softmax", [b.quantized(y)]))


def test_maps_are_channel_last_and_nothing_but_the_input_is_transposed() -> None:
    graph = import_onnx(small_network(), "net.onnx")
    assert kinds(graph) == [
        "QUANTIZE", "TRANSPOSE", "CONV_2D", "CONV_2D", "ADD", "MAX_POOL_2D", "RESHAPE",
        "FULLY_CONNECTED", "DEQUANTIZE", "SOFTMAX"]
    assert [graph.tensors[i].shape for i in graph.inputs] == [(1, 3, 6, 6)]
    assert graph.tensors[graph.ops[2].inputs[0]].shape == (1, 6, 6, 3)


def test_transposes_of_the_model_cancel_those_of_the_layout() -> None:
    graph = load_model(RESNET)
    assert "TRANSPOSE" not in kinds(graph)
    assert graph.tensors[graph.inputs[0]].shape == (1, 32, 32, 3)


def test_recorded_tensors_of_resnet_are_equal() -> None:
    imported = read_graph(RESNET.read_bytes(), RESNET.name)
    with np.load(MODELS / "refs" / f"{RESNET.stem}.npz") as recorded:
        values = golden.run(imported.graph, [recorded["in0_0"]])
        compared = 0
        for tensor_id, origin in imported.origins.items():
            if f"q:{origin.name}" in recorded:
                expected = recorded[f"q:{origin.name}"].transpose(origin.permutation)
                np.testing.assert_array_equal(values[tensor_id], expected)
                compared += 1
        assert compared == 15
        result = values[imported.graph.outputs[0]]
        np.testing.assert_allclose(result, recorded["out0_0"], atol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integer_inputs_and_outputs_keep_the_models_type_and_layout(dtype: str) -> None:
    b = OnnxBuilder(2, dtype)
    parameters = [b.constant(np.float32(0.5)), b.constant(np.zeros((), dtype))]
    x = b.node("DequantizeLinear", [b.input((1, 2, 4, 4), dtype), *parameters])
    y = b.node("QuantizeLinear", [b.node("MaxPool", [x], kernel_shape=[2, 2]), *parameters])
    graph = import_onnx(b.model(y, dtype=dtype), "net.onnx")
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (source.name, source.dtype, source.shape) == ("x0", dtype, (1, 2, 4, 4))
    assert (result.name, result.dtype, result.shape) == (y, dtype, (1, 2, 3, 3))
    limits = np.iinfo(dtype)
    value = b.rng.integers(limits.min, limits.max, source.shape, dtype, endpoint=True)
    windows = np.lib.stride_tricks.sliding_window_view(value, (2, 2), axis=(2, 3))
    np.testing.assert_array_equal(golden.run(graph, [value])[result.id],
                                  windows.max(axis=(4, 5)))


def test_one_value_can_be_two_outputs_and_an_input_an_output() -> None:
    b = OnnxBuilder(3)
    y = b.node("MaxPool", [b.activation((1, 2, 4, 4))], kernel_shape=[2, 2])
    graph = import_onnx(b.model(y, b.node("Identity", [y])), "net.onnx")
    assert len(set(graph.outputs)) == 2
    assert len({graph.tensors[i].name for i in graph.outputs}) == 2


def test_a_float_bias_is_taken_in_steps_of_the_accumulator() -> None:
    b = OnnxBuilder(4)
    x = b.activation((1, 2, 4, 4), 0.5)
    w = b.weights((3, 2, 1, 1))
    step = 0.5 * float(b.last_scales)
    y = b.node("Conv", [x, w, b.constant(np.array([1.25 * step, -7.75 * step, 0], np.float32))])
    graph = import_onnx(b.model(b.quantized(y)), "net.onnx")
    bias = next(t for t in graph.tensors if t.dtype == "int32")
    assert bias.data is not None and bias.data.tolist() == [1, -8, 0]


def test_shape_arithmetic_of_exporters_is_done_at_import() -> None:
    b = OnnxBuilder(5)
    x = b.activation((1, 2, 4, 4))
    size = b.node("Gather", [b.node("Shape", [x]), b.constant(np.array(0))])
    shape = b.node("Concat", [b.node("Unsqueeze", [size, b.constant(np.array([0]))]),
                              b.constant(np.array([-1]))], axis=0)
    graph = import_onnx(b.model(b.node("Reshape", [x, shape])), "net.onnx")
    assert graph.tensors[graph.outputs[0]].shape == (1, 32)


def test_a_first_dimension_left_open_is_one() -> None:
    model = onnx.load_model_from_string(small_network())
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    graph = import_onnx(model.SerializeToString(), "net.onnx")
    assert graph.tensors[graph.inputs[0]].shape == (1, 3, 6, 6)


# What is refused -----------------------------------------------------------------------------


def built(draw: Callable[[OnnxBuilder], str]) -> bytes:
    b = OnnxBuilder(6)
    return b.model(draw(b))


def float_model(b: OnnxBuilder) -> str:
    return b.node("Conv", [b.input((1, 3, 8, 8)), b.constant(np.ones((2, 3, 3, 3), np.float32))])


def scale_by_channel(b: OnnxBuilder) -> str:
    x = b.input((1, 3, 8, 8))
    return b.node("QuantizeLinear", [x, b.constant(np.ones(3, np.float32)),
                                     b.constant(np.zeros(3, np.int8))])


def computed_scale(b: OnnxBuilder) -> str:
    return b.node("QuantizeLinear", [b.input((1, 3)), b.input(())])


def weights_by_depth(b: OnnxBuilder) -> str:
    return b.quantized(b.node("Conv", [b.activation((1, 3, 8, 8)),
                                       b.weights((2, 3, 3, 3), axis=1)]))


def int32_activation(b: OnnxBuilder) -> str:
    return b.node("QuantizeLinear", [b.input((1, 3)), b.constant(np.float32(1)),
                                     b.constant(np.int32(0))])


def foreign_domain(b: OnnxBuilder) -> str:
    return b.node("Magic", [b.activation((1, 3))], domain="com.example")


def unknown_operator(b: OnnxBuilder) -> str:
    return b.node("Unique", [b.activation((1, 3))])


def huge_bias(b: OnnxBuilder) -> str:
    return b.quantized(b.node("Gemm", [b.activation((1, 3)), b.weights((3, 4)),
                                       b.constant(np.full(4, 1e30, np.float32))]))


REFUSED = {
    float_model: "its input is not quantised; quantise the model to int8 in QDQ form",
    scale_by_channel: "an activation has 3 scales; quantise activations by tensor",
    computed_scale: "its scale and zero point must be constants; export with static quant",
    weights_by_depth: "its weights have scales along axis 1, expected 0, the output channels",
    int32_activation: "activations of int32 are not supported; quantise them to 8 or 16 bits",
    foreign_domain: "its domain 'com.example' is not supported; export with ONNX's own operators",
    unknown_operator: "operator is not supported: the shape of its result depends on values; "
                      "replace it in the model by one that",
    huge_bias: "its bias does not fit int32 in steps of input scale * weight scale; quantise",
}


@pytest.mark.parametrize("draw", REFUSED, ids=lambda draw: draw.__name__)
def test_refusals_name_node_reason_and_way_out(draw: Callable[[OnnxBuilder], str]) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(REFUSED[draw])) as caught:
        import_onnx(built(draw), "net.onnx")
    assert "\n" not in str(caught.value)
    assert re.match(r"net\.onnx: node \d+ \w+ '\w+': ", str(caught.value))


def edited(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_model_from_string(small_network())
    change(model)
    return model.SerializeToString()


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[2]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["x0"], ["z"], then_branch=inner,
                                             else_branch=inner))


def cut(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[2]
    tensor.raw_data = tensor.raw_data[:-1]


def huge(model: onnx.ModelProto) -> None:
    model.graph.initializer[2].dims.extend([1 << 40, 1 << 40])


def cycle(model: onnx.ModelProto) -> None:
    model.graph.node[2].input[0] = model.graph.node[-1].output[0]


def twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(model.graph.node[0])


def bad_scale(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.float32(np.nan), model.graph.initializer[0].name))


def open_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def wrong_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(
        model.graph.output[0].name, TensorProto.FLOAT, [1, 6]))


def wrong_output_type(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8


def wrong_attribute(model: onnx.ModelProto) -> None:
    node = next(n for n in model.graph.node if n.op_type == "DequantizeLinear")
    node.ClearField("attribute")
    node.attribute.append(helper.make_attribute("axis", [0, 1]))


def wrong_attribute_elsewhere(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="qonnx.custom_op.general", version=1)
    model.graph.node[0].CopyFrom(helper.make_node(
        "Quant", list(model.graph.node[0].input), list(model.graph.node[0].output),
        domain="qonnx.custom_op.general", rounding_mode=1))


EDITS: dict[Callable[[onnx.ModelProto], object], tuple[type[Error], str]] = {
    external: (UnsupportedError, "its values are in another file, which is not opened; store them "
                                 "in the model"),
    branch: (UnsupportedError, "holds a graph or a reference; unroll control flow"),
    cut: (ModelError, "bytes, 108 of int8 need 108"),
    huge: (UnsupportedError, "has more than 67108864 elements"),
    cycle: (ModelError, "before it is written"),
    twice: (ModelError, "which already has a value"),
    bad_scale: (ModelError, "scales must be positive and finite"),
    open_size: (UnsupportedError, "is not fixed; give --shape NAME=1x49x40, or export with fixed "
                                  "shapes"),
    wrong_output: (ModelError, "is declared [1, 6], but is [1, 5]"),
    wrong_output_type: (ModelError, "is declared int8, but is float32"),
    wrong_attribute: (ModelError, "attribute 'axis' is of type 'ints', the operator's is 'i'"),
    wrong_attribute_elsewhere: (
        ModelError, "attribute 'rounding_mode' is of type 'i', the operator's is 's'"),
}


@pytest.mark.parametrize("change", EDITS, ids=lambda change: change.__name__)
def test_unsound_files_are_refused_by_name(change: Callable[[onnx.ModelProto], object]) -> None:
    error, text = EDITS[change]
    with pytest.raises(error, match=re.escape(text)) as caught:
        import_onnx(edited(change), "net.onnx")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("net.onnx: ")


@pytest.mark.parametrize("part", range(5))
def test_damaged_files_end_in_an_error_or_a_graph(part: int) -> None:
    rng = np.random.default_rng(part)
    sound = [small_network(), small_network("uint8")]
    refused = 0
    for i in range(100):
        content = damage(sound[i % 2], rng)
        try:
            import_onnx(content, "net.onnx")
        except Error as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 40


def test_float_weights_are_quantised_at_import() -> None:
    """Some exporters leave weights in float32, behind a QuantizeLinear of their own."""
    b = OnnxBuilder(8)
    x = b.activation((1, 3, 6, 6))
    steps = [b.constant(np.float32([0.01, 0.02, 0.03, 0.04])), b.constant(np.zeros(4, np.int8))]
    real = b.rng.normal(0, 1, (4, 3, 3, 3)).astype(np.float32)
    w = b.node("DequantizeLinear", [
        b.node("QuantizeLinear", [b.constant(real), *steps], axis=0), *steps], axis=0)
    graph = import_onnx(b.model(b.quantized(b.node("Conv", [x, w]))), "net.onnx")
    conv = next(op for op in graph.ops if op.kind == "CONV_2D")
    weights = graph.tensors[conv.inputs[1]]
    scales = np.float32([0.01, 0.02, 0.03, 0.04]).reshape(4, 1, 1, 1)
    expected = np.clip(np.rint(real / scales), -128, 127)
    assert weights.data is not None and weights.quantization is not None
    np.testing.assert_array_equal(weights.data.transpose(0, 3, 1, 2), expected)
    assert len(weights.quantization.scales) == 4
