"""The importer: attributes of sound files, and one clear line for each kind that is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING, ModelBuilder
from kaniwa.errors import Error, ModelError, UnsupportedError
from kaniwa.graph import Graph
from kaniwa.importers import OPERATORS, load_model
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.verify.litert import LiteRT


def conv(
    x_shape: tuple[int, ...] = (1, 8, 8, 2),
    y_shape: tuple[int, ...] = (1, 4, 4, 3),
    *,
    dtype: str = "int8",
    w_zero: int = 0,
    w_axis: int = 0,
    x: dict[str, Any] | None = None,
    bias_axis: int = 0,
    w_data: Any = None,
    **changed: Any,
) -> bytes:
    """A file with one CONV_2D, 3×3 stride 2 SAME and per-channel weights, or changes to it."""
    b = ModelBuilder()
    quantized = {} if dtype == "float32" else {"scale": 0.1, "zero_point": 5}
    a = b.tensor("image", x_shape, dtype, **(quantized | (x or {})))
    data = np.ones((3, 3, 3, 2), np.int8) if w_data is None else w_data
    w = b.tensor(
        "w", [3, 3, 3, 2], scale=[0.1, 0.2, 0.3], zero_point=[w_zero] * 3, axis=w_axis, data=data
    )
    bias = b.tensor(
        "b",
        [3],
        "int32",
        scale=[0.1] * 3,
        zero_point=[0] * 3,
        axis=bias_axis,
        data=np.zeros(3, np.int32),
    )
    y = b.tensor("conv1", y_shape, dtype, **quantized)
    options = {
        "Padding": PADDING["SAME"],
        "StrideH": 2,
        "StrideW": 2,
        "DilationHFactor": 1,
        "DilationWFactor": 1,
        "FusedActivationFunction": ACTIVATION["RELU6"],
    }
    b.op("CONV_2D", [a, w, bias], [y], **(options | changed))
    return b.build([a], [y])


def refusal(content: bytes) -> tuple[type[Error], str]:
    with pytest.raises(Error) as error:
        import_tflite(content, "m.tflite")
    return type(error.value), str(error.value)


def one_op(
    kind: str, count: int = 1, scale: float = 0.1, dtype: str = "int8", **options: Any
) -> bytes:
    """A file with one operator of ``count`` inputs [1, 4] and an output of the same shape."""
    b = ModelBuilder()
    tensors = [b.tensor(f"in{i}", [1, 4], dtype, scale=0.1, zero_point=0) for i in range(count)]
    y = b.tensor("out", [1, 4], dtype, scale=scale, zero_point=0)
    b.op(kind, tensors, [y], **options)
    return b.build(tensors, [y])


def test_convolution_has_its_attributes_in_full() -> None:
    graph = import_tflite(conv(), "m.tflite")
    op = graph.ops[0]
    assert (op.kind, op.name, op.rule, op.source_index) == (
        "CONV_2D",
        "conv1",
        "litert_double_rounding",
        0,
    )
    # 8 wide, 3×3, stride 2: one row and one column are missing, and go to the bottom and right.
    assert op.attributes == {
        "stride": (2, 2),
        "dilation": (1, 1),
        "padding": ((0, 1), (0, 1)),
        "activation": "RELU6",
    }
    weights = graph.tensors[op.inputs[1]]
    assert weights.quantization is not None and weights.quantization.axis == 0
    assert weights.quantization.scales[2] == float(np.float32(0.3))
    assert weights.data is not None and not weights.data.flags.writeable


@pytest.mark.parametrize(
    "content, message",
    [
        (conv(w_zero=3), "op 0 CONV_2D 'conv1': per-channel weights need zero_point 0, not 3"),
        (
            conv(x={"zero_point": 128}),
            "op 0 CONV_2D 'conv1': activation 'image' needs a zero point in -128..127, not 128",
        ),
        (
            conv(x={"scale": [0.1, 0.2], "zero_point": [0, 0], "axis": 3}),
            "op 0 CONV_2D 'conv1': activation 'image' needs one scale and zero point",
        ),
        (
            conv(FusedActivationFunction=4),
            "op 0 CONV_2D 'conv1': fused activation TANH is not supported",
        ),
        (
            conv(dtype="int4"),
            "tensor 0 'image': dtype INT4 is not supported; quantise the model to int8",
        ),
        (conv(dtype="uint8"), "op 0 CONV_2D 'conv1': weights are int8, must be uint8"),
        (
            one_op("FLOOR_DIV", 2, dtype="uint8"),
            "op 0 FLOOR_DIV 'out': activation 'in0' is uint8, must be int8, int16, int32 or "
            "float32",
        ),
        (
            conv(dtype="float32"),
            "op 0 CONV_2D 'conv1': weights are int8, must be float32: they alone are quantised; "
            "`kaniwa quantize` quantises activations too",
        ),
        (
            conv((1, 8, -1, 2)),
            "tensor 0 'image': shape [1, 8, -1, 2] is dynamic; fix the inputs' with --shape "
            "NAME=1x49x40, or convert the model with fixed shapes",
        ),
        (conv((1, 8, 8, 4)), "op 0 CONV_2D 'conv1': has 2 groups and 3 output channels"),
        (
            conv((1 << 12, 1 << 12, 1 << 12, 2)),
            "tensor 0 'image': shape [4096, 4096, 4096, 2] has more than 67108864 elements",
        ),
        (
            conv(w_axis=1),
            "op 0 CONV_2D 'conv1': per-channel weights need quantized_dimension 0, not 1",
        ),
        (
            conv(y_shape=(1, 1, 1, 3), StrideH=5000, StrideW=1, x_shape=(1, 8, 1, 2)),
            "op 0 CONV_2D 'conv1': stride or span of 5000 is too large",
        ),
        (
            one_op("UNIQUE"),
            "op 0 UNIQUE 'out': operator is not supported: the shape of its result depends on "
            "values; replace it in the model by one that `kaniwa operators` lists, or cut the "
            "model before it",
        ),
        (
            one_op("MyOp"),
            "op 0 CUSTOM(MyOp) 'out': operator is not supported: LiteRT does not know it; "
            "replace it in the model by one that `kaniwa operators` lists, or cut the model "
            "before it",
        ),
        (
            one_op("ADD", 2, scale=1e-9),
            "op 0 ADD 'out': output scale 1e-09 is too small for input scales 0.1 and 0.1",
        ),
        (
            one_op("SOFTMAX", Beta=1.0),
            "op 0 SOFTMAX 'out': output scale 0.1 and zero point 0 must be 1/256 and -128",
        ),
    ],
)
def test_what_is_not_supported_is_named(content: bytes, message: str) -> None:
    assert refusal(content) == (UnsupportedError, f"m.tflite: {message}")


@pytest.mark.parametrize(
    "content, message",
    [
        (conv(StrideH=0), "op 0 CONV_2D 'conv1': stride (0, 2) must be at least 1"),
        (
            conv(y_shape=(1, 3, 4, 3)),
            "op 0 CONV_2D 'conv1': output 'conv1' [1, 3, 4, 3] should be [1, 4, 4, 3]",
        ),
        (conv(w_data=b"\0" * 53), "tensor 1 'w': buffer 1 has 53 bytes, int8[3, 3, 3, 2] needs 54"),
        (conv(w_axis=3), "tensor 1 'w': 3 scales do not fit quantized_dimension 3 of [3, 3, 3, 2]"),
        (conv(Padding=7), "op 0 CONV_2D 'conv1': padding 7 does not exist"),
        (conv(x={"scale": float("nan")}), "tensor 0 'image': scales must be positive and finite"),
        (one_op("SOFTMAX", options_type="AddOptions"), "op 0 SOFTMAX 'out': has no SoftmaxOptions"),
        (one_op("ADD", 1), "op 0 ADD 'out': has 1 inputs and 1 outputs"),
    ],
)
def test_what_is_wrong_is_named(content: bytes, message: str) -> None:
    assert refusal(content) == (ModelError, f"m.tflite: {message}")


def one_conv(**form: Any) -> tuple[bytes, list[np.ndarray]]:
    """A CONV_2D, and its input; the file has another ``form`` of the builder."""
    b, rng = ModelBuilder(**form), np.random.default_rng(3)
    x = b.tensor("x", [1, 5, 5, 2], scale=0.1, zero_point=5)
    w = b.tensor("w", [3, 3, 3, 2], scale=0.01, zero_point=0,
                 data=rng.integers(-128, 128, (3, 3, 3, 2)).astype(np.int8))
    bias = b.tensor("b", [3], "int32", scale=0.001, zero_point=0, data=np.arange(3, dtype=np.int32))
    y = b.tensor("y", [1, 3, 3, 3], scale=1.0, zero_point=-3)
    b.op("CONV_2D", [x, w, bias], [y], Padding=PADDING["VALID"], StrideH=1, StrideW=1)
    return b.build([x], [y]), [rng.integers(-128, 128, (1, 5, 5, 2)).astype(np.int8)]


@pytest.mark.parametrize("form", [
    {}, {"behind": True}, {"code_fields": (False, True)}, {"code_fields": (True, False)},
], ids=str)
def test_every_form_of_a_file_means_what_litert_reads(form: dict[str, Any]) -> None:
    pytest.importorskip("ai_edge_litert")
    content, inputs = one_conv(**form)
    graph = import_tflite(content, "m.tflite")
    (expected,) = LiteRT(content, graph).run(inputs).values()
    assert np.array_equal(golden.run(graph, inputs)[graph.outputs[0]], expected)
    assert np.unique(expected).size > 9


def test_data_cut_off_behind_the_flatbuffer_is_named() -> None:
    content, _ = one_conv(behind=True)
    start = len(content) - 32 - 64     # one buffer of 54 bytes, and one of 12
    size = len(content) - 5
    for cut, message in (
            (size, f"tensor 2 'b': buffer 2 has 12 bytes from byte {len(content) - 16} on, outside "
                   f"the file of {size} bytes"),
            (start + 40, f"tensor 1 'w': buffer 1 has 54 bytes from byte {start + 16} on, outside "
                         f"the file of {start + 40} bytes")):
        assert refusal(content[:cut]) == (ModelError, f"m.tflite: {message}")


def test_a_bias_with_a_foreign_quantized_dimension_is_read() -> None:
    graph = import_tflite(conv(bias_axis=3), "m.tflite")
    bias = graph.tensors[2].quantization
    assert bias is not None and bias.axis == 0


def two_adds(first: list[int], second: list[int], outputs: list[int], names: str = "abcd") -> bytes:
    b = ModelBuilder()
    for name in names:
        b.tensor(name, [2], scale=0.5, zero_point=0)
    b.op("ADD", first[:2], first[2:])
    b.op("ADD", second[:2], second[2:])
    return b.build([0, 1], outputs)


@pytest.mark.parametrize(
    "content, message",
    [
        (
            two_adds([0, 3, 2], [2, 1, 3], [3]),
            "m.tflite: op 0 ADD 'c': reads tensor 'd' before it is written",
        ),
        (
            two_adds([0, 1, 2], [2, 1, 2], [2]),
            "m.tflite: op 1 ADD 'c': writes tensor 'c' that already has a value",
        ),
        (
            two_adds([0, 1, 2], [2, 1, 9], [2]),
            "m.tflite: op 1 ADD: output is tensor 9, but there are 4 tensors",
        ),
        (
            two_adds([0, -2, 2], [2, 1, 3], [3]),
            "m.tflite: op 0 ADD: input is tensor -2, but there are 4 tensors",
        ),
        (two_adds([0, 1, 2], [2, 1, 3], [3, 3]), "m.tflite: tensor 'd' is listed twice as output"),
    ],
)
def test_a_graph_in_disorder_is_refused(content: bytes, message: str) -> None:
    assert refusal(content) == (ModelError, message)


def test_equal_names_are_made_unique_among_inputs_and_outputs() -> None:
    graph = import_tflite(two_adds([0, 1, 2], [2, 1, 3], [2, 3], names="aabb"), "m.tflite")
    assert [graph.tensors[i].name for i in graph.inputs] == ["a", "a:1"]
    assert [graph.tensors[i].name for i in graph.outputs] == ["b", "b:3"]


def test_a_name_with_a_line_break_stays_one_line() -> None:
    graph = import_tflite(two_adds([0, 1, 2], [2, 1, 3], [3], names="ab\nd"), "m.tflite")
    assert graph.tensors[2].name == "?"


@pytest.mark.parametrize(
    "name, kinds",
    [
        (
            "mlperf_ic_resnet8",
            {
                "CONV_2D": 9,
                "ADD": 3,
                "AVERAGE_POOL_2D": 1,
                "RESHAPE": 1,
                "FULLY_CONNECTED": 1,
                "SOFTMAX": 1,
            },
        ),
        ("mlperf_ad_fc_ae", {"FULLY_CONNECTED": 10}),
    ],
)
def test_real_models_are_imported(models: Path, name: str, kinds: dict[str, int]) -> None:
    graph: Graph = load_model(models / f"{name}.tflite")
    found = [op.kind for op in graph.ops]
    assert {kind: found.count(kind) for kind in found} == kinds
    assert [op.rule for op in graph.ops] == [OPERATORS[kind].rules["int8"] for kind in found]
    assert len(graph.source_sha256) == 64


def test_every_limit_has_its_sentence() -> None:
    for info in OPERATORS.values():
        assert info.constraints
        for sentence in info.constraints:
            assert sentence.endswith(".") and "\n" not in sentence


def test_files_that_are_no_models_are_refused_in_one_line(tmp_path: Path) -> None:
    files = {
        "empty.tflite": b"",
        "text.txt": b"hello, world",
        "text.tflite": b"hello, world",
        "net.onnx": b"\x08\x07\x12\x00",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    expected = {
        "missing.tflite": (ModelError, f"{tmp_path}/missing.tflite: no such file"),
        "": (ModelError, f"{tmp_path}: is a folder, expected a model file"),
        "empty.tflite": (ModelError, f"{tmp_path}/empty.tflite: is empty"),
        "text.txt": (
            ModelError,
            f"{tmp_path}/text.txt: not a model file that kaniwa knows, expected .tflite or "
            ".onnx",
        ),
        "text.tflite": (ModelError, "text.tflite: not a TFLite file (no 'TFL3' identifier)"),
        "net.onnx": (ModelError, "net.onnx: names 0 versions of ONNX's operators, expected one"),
    }
    for name, (kind, message) in expected.items():
        with pytest.raises(kind) as error:
            load_model(tmp_path / name)
        assert str(error.value) == message
    with pytest.raises(ModelError):
        load_model("a\0b.tflite")
