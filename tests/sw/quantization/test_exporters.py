"""Float files as exporters write them, which the frameworks' quantisers trip over."""

import numpy as np
import onnx
import pytest
import tflite
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import kaniwa
from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING, ModelBuilder
from kaniwa.cli import verbs
from kaniwa.errors import ModelError
from kaniwa.importers import load_model
from kaniwa.quantization.quantize import quantize
from kaniwa.verify.litert import verify

SIDE, CHANNELS = 8, 4


def calibrated(tmp_path, model, *shape):
    """The outcome, and the quantised file, with samples of the ``shape`` for its input x."""
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=np.random.default_rng(1).normal(size=(4, *shape)).astype(np.float32))
    outcome = quantize(model, samples)
    made = tmp_path / f"made{model.suffix}"
    made.write_bytes(outcome.data)
    return outcome, made


def float16_tflite(code_fields=(True, True)):
    """A convolution whose weights are float16 behind DEQUANTIZE."""
    rng, b = np.random.default_rng(2), ModelBuilder(code_fields=code_fields)

    def widened(name, *shape):
        half = b.tensor(name, shape, "float16",
                        data=rng.uniform(0.1, 1, shape).astype(np.float16))
        whole = b.tensor(f"{name}_whole", shape, "float32")
        b.op("DEQUANTIZE", (half,), (whole,))
        return whole

    x = b.tensor("x", (1, SIDE, SIDE, 3), "float32")
    y = b.tensor("y", (1, SIDE, SIDE, CHANNELS), "float32")
    b.op("CONV_2D", (x, widened("kernel", CHANNELS, 3, 3, 3), widened("bias", CHANNELS)), (y,),
         Padding=PADDING["SAME"], StrideH=1, StrideW=1, DilationHFactor=1, DilationWFactor=1,
         FusedActivationFunction=ACTIVATION["NONE"])
    return b.build((x,), (y,))


def halves_of(model):
    """The data of the kernel."""
    stored = tflite.Model.GetRootAs(model.read_bytes())
    return stored.Buffers(stored.Subgraphs(0).Tensors(2).Buffer()).DataAsNumpy().tobytes()


@pytest.mark.parametrize("code_fields", [(True, True), (True, False)])
def test_weights_of_float16_are_weights(tmp_path, code_fields):
    """And an operator whose code stands in the older field alone is not ADD, the newer one's 0."""
    model = tmp_path / "half.tflite"
    model.write_bytes(float16_tflite(code_fields))
    outcome, made = calibrated(tmp_path, model, 1, SIDE, SIDE, 3)
    graph = load_model(made)
    assert [op.kind for op in graph.ops] == ["CONV_2D"]
    assert [(row.shape, row.scales) for row in outcome.weights] == [((CHANNELS, 3, 3, 3), CHANNELS)]
    assert halves_of(model) in model.read_bytes() and halves_of(model) not in outcome.data
    assert verify(made, against="litert", inputs=2, layers=True)["mismatches"] == 0


def onnx_file(path, nodes, values, opset=17, inputs=(1, 3, SIDE, SIDE)):
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(inputs))],
        [numpy_helper.from_array(np.asarray(value, np.float32), name)
         for name, value in values.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                                ir_version=8), path)
    return path


def test_an_old_operator_set_has_scales_by_channel(tmp_path):
    """DequantizeLinear has them since operator set 13."""
    rng = np.random.default_rng(3)
    model = onnx_file(tmp_path / "old.onnx", [helper.make_node("Conv", ["x", "k", "b"], ["y"])],
                      {"k": rng.normal(size=(CHANNELS, 3, 3, 3)), "b": rng.normal(size=CHANNELS)},
                      opset=11)
    outcome, made = calibrated(tmp_path, model, 1, 3, SIDE, SIDE)
    assert [row.scales for row in outcome.weights] == [CHANNELS]
    assert verify(made, against="onnxruntime", inputs=2)["mismatches"] == 0


def test_layer_normalization_in_pieces_becomes_one_operator(tmp_path):
    """It is one since operator set 17; in pieces its statistics stay in float32."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[-1]),
             helper.make_node("Sub", ["x", "mean"], ["off"]),
             helper.make_node("Pow", ["off", "two"], ["square"]),
             helper.make_node("ReduceMean", ["square"], ["variance"], axes=[-1]),
             helper.make_node("Add", ["variance", "epsilon"], ["above"]),
             helper.make_node("Sqrt", ["above"], ["deviation"]),
             helper.make_node("Div", ["off", "deviation"], ["even"]),
             helper.make_node("Mul", ["even", "gamma"], ["scaled"]),
             helper.make_node("Add", ["scaled", "beta"], ["normal"]),
             helper.make_node("MatMul", ["normal", "w"], ["y"])]
    rng = np.random.default_rng(4)
    model = onnx_file(tmp_path / "pieces.onnx", nodes, {
        "two": 2, "epsilon": 1e-5, "gamma": rng.uniform(0.5, 2, 16), "beta": rng.normal(size=16),
        "w": rng.normal(size=(16, 4))}, opset=12, inputs=(1, 5, 16))
    _, made = calibrated(tmp_path, model, 1, 5, 16)
    assert "LAYER_NORM" in {op.kind for op in load_model(made).ops}


def test_a_bias_of_several_convolutions_does_not_take_the_name_of_another_tensor(tmp_path):
    rng = np.random.default_rng(5)
    nodes = [helper.make_node("Conv", ["x", "k", "b"], ["b0"]),
             helper.make_node("Conv", ["x", "k2", "b"], ["b1"]),
             helper.make_node("Add", ["b0", "b1"], ["y"])]
    model = onnx_file(tmp_path / "shared.onnx", nodes, {
        "k": rng.normal(size=(CHANNELS, 3, 3, 3)), "k2": rng.normal(size=(CHANNELS, 3, 3, 3)),
        "b": rng.normal(size=CHANNELS)})
    _, made = calibrated(tmp_path, model, 1, 3, SIDE, SIDE)
    assert verify(made, against="onnxruntime", inputs=2)["mismatches"] == 0


@pytest.mark.parametrize("kind", ["InstanceNormalization", "LayerNormalization"])
def test_nor_does_a_bias_of_several_normalisations(tmp_path, kind):
    size = 3 if kind == "InstanceNormalization" else SIDE
    nodes = [helper.make_node(kind, ["x", "gain", "b1"], ["n"]),
             helper.make_node("Transpose", ["n"], ["b10"], perm=[0, 1, 3, 2]),
             helper.make_node(kind, ["b10", "gain", "b1"], ["y"])]
    model = onnx_file(tmp_path / "shared.onnx", nodes, {
        "gain": np.ones(size), "b1": np.full(size, 0.5)}, opset=17)
    _, made = calibrated(tmp_path, model, 1, 3, SIDE, SIDE)
    assert verify(made, against="onnxruntime", inputs=2)["mismatches"] == 0


def test_a_row_behind_a_product_is_a_bias(tmp_path):
    rng = np.random.default_rng(6)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["product"]),
             helper.make_node("Add", ["product", "row"], ["y"])]
    model = onnx_file(tmp_path / "row.onnx", nodes, {
        "w": rng.normal(size=(16, CHANNELS)), "row": rng.normal(size=(1, CHANNELS))},
        inputs=(1, 16))
    _, made = calibrated(tmp_path, model, 1, 16)
    assert verify(made, against="onnxruntime", inputs=2)["mismatches"] == 0


def test_a_single_infinity_is_no_weight(tmp_path):
    rng = np.random.default_rng(7)
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"]),
             helper.make_node("Max", ["c", "least"], ["y"])]
    model = onnx_file(tmp_path / "max.onnx", nodes, {
        "k": rng.normal(size=(CHANNELS, 3, 3, 3)), "least": -np.inf})
    outcome, _ = calibrated(tmp_path, model, 1, 3, SIDE, SIDE)
    assert len(outcome.weights) == 1


def test_open_sizes_are_those_of_the_samples(tmp_path):
    rng = np.random.default_rng(8)
    model = onnx_file(tmp_path / "open.onnx", [helper.make_node("Conv", ["x", "k"], ["y"])],
                      {"k": rng.normal(size=(CHANNELS, 3, 3, 3))}, inputs=(-1, 3, "height", 8))
    outcome, _ = calibrated(tmp_path, model, 1, 3, SIDE, SIDE)
    assert outcome.shapes == {"x": (1, 3, SIDE, SIDE)}
    made = tmp_path / "q.onnx"
    shown = CliRunner().invoke(verbs, ["quantize", str(model), "--calibration",
                                       str(tmp_path / "samples.npz"), "-o", str(made)], obj={})
    assert f"next: kaniwa compile {made} --shape x=1x3x8x8" in shown.output


def test_an_input_that_is_one_number(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "by"], ["scaled"]),
         helper.make_node("Conv", ["scaled", "k"], ["y"])], "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, SIDE, SIDE)),
         helper.make_tensor_value_info("by", TensorProto.FLOAT, ())],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(np.ones((CHANNELS, 3, 1, 1), np.float32), "k")])
    model, samples = tmp_path / "number.onnx", tmp_path / "samples.npz"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
              model)
    np.savez(samples, x=np.ones((2, 1, 3, SIDE, SIDE), np.float32), by=np.array([0.5, 2.0]))
    assert quantize(model, samples).samples == 2


def spectrogram_tflite():
    """A dense layer on the spectra of frames, as many as the input's shape says: the file was
    written for any number of them, and what it calculates with has shapes of 1."""
    b, rng = ModelBuilder(), np.random.default_rng(3)

    def numbers(name, *values, shape=None):
        data = np.array(values, np.int32).reshape((len(values),) if shape is None else shape)
        return b.tensor(name, data.shape, "int32", data=data)

    def made(name, kind, operands, shape, dtype="float32", options=None, **fields):
        y = b.tensor(name, shape, dtype)
        b.op(kind, operands, (y,), options, **fields)
        return y

    x = b.tensor("x", (1, 5, 16), "float32", signature=(1, -1, 16))
    sizes = made("sizes", "SHAPE", (x,), (3,), "int32", "ShapeOptions", OutType=2)
    count = made("count", "STRIDED_SLICE", (sizes, numbers("one", 1), numbers("two", 2),
                 numbers("by", 1)), (1,), "int32", "StridedSliceOptions")
    number = made("number", "RESHAPE", (count, b.tensor("no_axis", (0,), "int32",
                  data=np.empty(0, np.int32))), (), "int32", "ReshapeOptions")
    shape = made("new_shape", "PACK", (number, numbers("depth", 16, shape=())), (2,), "int32",
                 "PackOptions", ValuesCount=2, Axis=0)
    frames = made("frames", "RESHAPE", (x, shape), (1, 16), options="ReshapeOptions")
    rows = made("rows", "EXPAND_DIMS", (frames, numbers("axis", 1, shape=())), (1, 1, 16),
                options="ExpandDimsOptions")
    bins = made("bins", "RFFT2D", (rows, numbers("lengths", 1, 16)), (1, 1, 9), "complex64")
    flat = made("flat", "SQUEEZE", (bins,), (1, 9), "complex64", "SqueezeOptions", SqueezeDims=[1])
    power = made("power", "COMPLEX_ABS", (flat,), (1, 9))
    weights = b.tensor("w", (8, 9), "float32", data=rng.normal(size=(8, 9)).astype(np.float32))
    y = made("y", "FULLY_CONNECTED", (power, weights), (1, 8), options="FullyConnectedOptions")
    return b.build((x,), (y,))


def test_shapes_that_operators_calculate_with_are_those_of_a_run(tmp_path):
    model = tmp_path / "spectrogram.tflite"
    model.write_bytes(spectrogram_tflite())
    _, made = calibrated(tmp_path, model, 1, 5, 16)
    graph = load_model(made)
    assert graph.tensors[graph.outputs[0]].shape == (5, 8)
    kinds = [op.kind for op in graph.ops]
    assert {"SHAPE", "STRIDED_SLICE", "PACK"}.isdisjoint(kinds)
    assert {"RFFT2D", "COMPLEX_ABS", "FULLY_CONNECTED"} <= {*kinds}
    assert verify(made)["mismatches"] == 0


def test_what_litert_cannot_run_is_one_line(tmp_path):
    b = ModelBuilder()
    x, y = (b.tensor(name, (1, 4), "float32") for name in "xy")
    b.op("RSQRT", (x,), (y,))
    model = tmp_path / "root.tflite"
    model.write_bytes(b.build((x,), (y,)))
    with pytest.raises(ModelError, match="LiteRT cannot run it: .*positive values"):
        calibrated(tmp_path, model, 1, 4)


def test_float16_becomes_float32(tmp_path):
    rng = np.random.default_rng(9)
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"]),
             helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(
                 np.array(0.5, np.float16))),
             helper.make_node("Mul", ["c", "half"], ["scaled"]),
             helper.make_node("Cast", ["scaled"], ["whole"], to=TensorProto.FLOAT),
             helper.make_node("Relu", ["whole"], ["positive"]),
             helper.make_node("Cast", ["positive"], ["y"], to=TensorProto.FLOAT16)]
    graph = helper.make_graph(
        nodes, "half", [helper.make_tensor_value_info("x", TensorProto.FLOAT16, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [None] * 4)],
        [numpy_helper.from_array(rng.normal(size=(CHANNELS, 3, 3, 3)).astype(np.float16), "k")])
    model = tmp_path / "half.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
              model)
    outcome, made = calibrated(tmp_path, model, 1, 3, SIDE, SIDE)
    assert [row.scales for row in outcome.weights] == [CHANNELS]
    assert verify(made, against="onnxruntime", inputs=2)["mismatches"] == 0


@pytest.mark.parametrize("name", ["dynamic_wi8_afp32", "weight_only_wi8_afp32",
                                  "dynamic_wi4_afp32"])
def test_weights_that_are_quantised_alone_become_real_again(tmp_path, float_tflite, samples, name):
    """Files of converters' default optimisation: their activations are float32."""
    from ai_edge_quantizer import quantizer, recipe

    given = quantizer.Quantizer(float_tflite.read_bytes(), getattr(recipe, name)())
    model = tmp_path / "weights.tflite"
    model.write_bytes(bytes(given.quantize(enable_progress_bar=False,
                                           enable_progress_report=False).quantized_model))
    outcome = quantize(model, samples[".tflite"])
    assert [row.bits for row in outcome.weights] == [8, 8]
    assert len(outcome.data) < float_tflite.stat().st_size
    made = tmp_path / "made.tflite"
    made.write_bytes(outcome.data)
    assert "CONV_2D" in {op.kind for op in load_model(made).ops}
    assert verify(made, against="litert", inputs=2, layers=True)["mismatches"] == 0


def test_nothing_is_printed_that_the_runtime_says_to_itself(tmp_path, capfd, caplog):
    nodes = [helper.make_node("Relu", ["x"], ["h"])] + [
        helper.make_node("BatchNormalization", [of, "scale", "bias", "mean", "variance"], [to])
        for of, to in (("h", "a"), ("x", "b"))] + [helper.make_node("Add", ["a", "b"], ["y"])]
    model = onnx_file(tmp_path / "two.onnx", nodes, {
        name: np.ones(CHANNELS) for name in ("scale", "bias", "mean", "variance", "unused")},
        inputs=(1, CHANNELS, SIDE, SIDE))
    calibrated(tmp_path, model, 1, CHANNELS, SIDE, SIDE)
    assert caplog.text == "" and "onnxruntime" not in capfd.readouterr().err


def pieces_of(kind, axis, gain):
    """Nodes of a normalization of x to y as PyTorch writes them, and their constants."""
    if kind == "LpNormalization":
        return [helper.make_node("ReduceL2", ["x"], ["norm"], axes=[axis], keepdims=1),
                helper.make_node("Clip", ["norm", "tiny"], ["bound"]),
                helper.make_node("Shape", ["x"], ["shape"]),
                helper.make_node("Expand", ["bound", "shape"], ["wide"]),
                helper.make_node("Div", ["x", "wide"], ["y"])], {"tiny": 1e-12}
    squares = helper.make_node("Mul", ["x", "x"], ["squares"])
    nodes = [helper.make_node("Pow", ["x", "two"], ["squares"]) if gain is None else squares,
             helper.make_node("ReduceMean", ["squares"], ["mean"], axes=[axis], keepdims=1),
             helper.make_node("Add", ["mean", "epsilon"], ["more"]),
             helper.make_node("Sqrt", ["more"], ["root"])]
    if gain is None:
        return [*nodes, helper.make_node("Div", ["x", "root"], ["y"])], {"epsilon": 1e-5, "two": 2}
    return [*nodes, helper.make_node("Div", ["one", "root"], ["inverse"]),
            helper.make_node("Mul", ["x", "inverse"], ["normal"]),
            helper.make_node("Mul", ["normal", "gain"], ["y"])], {
                "epsilon": 1e-5, "one": 1, "gain": gain}


@pytest.mark.parametrize(("kind", "axis", "shape", "gain"), [
    ("LpNormalization", -1, (1, 3, 20), None), ("LpNormalization", 1, (1, 9, 4, 4), None),
    ("SimplifiedLayerNormalization", -1, (1, 3, 20), None),
    ("SimplifiedLayerNormalization", 2, (1, 3, 20), np.linspace(-1, 2, 20)),
    ("SimplifiedLayerNormalization", 1, (1, 9, 4, 4), np.linspace(-1, 2, 9).reshape(9, 1, 1))])
def test_a_normalization_in_pieces_becomes_one_operator(tmp_path, kind, axis, shape, gain):
    nodes, constants = pieces_of(kind, axis, gain)
    model = onnx_file(tmp_path / "pieces.onnx", nodes, constants, opset=13, inputs=shape)
    outcome, made = calibrated(tmp_path, model, *shape)
    kinds = {op.kind for op in load_model(made).ops}
    assert "RMS_NORM" in kinds and not kinds & {"ReduceL2", "SQRT", "DIV", "MUL"}
    found = verify(made, against="onnxruntime", inputs=3)
    assert found["mismatches"] == 0
    assert outcome.activations[-1].signal_to_noise_db > 25


@pytest.mark.parametrize("change", ["bound", "axes", "other"])
def test_pieces_that_mean_something_else_stay(tmp_path, change):
    nodes, constants = pieces_of("LpNormalization", -1, None)
    if change == "bound":
        constants["tiny"] = 0.5
    elif change == "axes":
        nodes[0].attribute[0].ints[:] = [1, 2]
    else:
        nodes[0].input[0] = "h"
        nodes.insert(0, helper.make_node("Relu", ["x"], ["h"]))
    model = onnx_file(tmp_path / "pieces.onnx", nodes, constants, opset=13, inputs=(1, 3, 20))
    _, made = calibrated(tmp_path, model, 1, 3, 20)
    assert "Div" in (kinds := {node.op_type for node in onnx.load(made).graph.node})
    assert "LpNormalization" not in kinds


def test_sums_and_means_are_quantised(tmp_path):
    """Split attention: two halves of channels are added up, and then averaged."""
    rng = np.random.default_rng(9)
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"]),
             helper.make_node("Reshape", ["c", "halves"], ["h"]),
             helper.make_node("ReduceSum", ["h", "first"], ["s"], keepdims=0),
             helper.make_node("ReduceMean", ["s"], ["m"], axes=[2, 3], keepdims=1),
             helper.make_node("Conv", ["m", "k2"], ["y"])]
    model = onnx_file(tmp_path / "split.onnx", nodes, {
        "k": rng.normal(size=(2 * CHANNELS, 3, 1, 1)), "k2": rng.normal(size=(5, CHANNELS, 1, 1))})
    proto = onnx.load(model)
    proto.graph.initializer.extend([
        numpy_helper.from_array(np.array([1, 2, CHANNELS, SIDE, SIDE]), "halves"),
        numpy_helper.from_array(np.array([1]), "first")])
    onnx.save(proto, model)
    _, made = calibrated(tmp_path, model, 1, 3, SIDE, SIDE)
    program = kaniwa.compile(made, target="base")
    assert not {op.kind for op in program.host_ops} & {"SUM", "MEAN", "AVERAGE_POOL_2D"}
    assert verify(made, against="onnxruntime", inputs=2)["mismatches"] == 0
