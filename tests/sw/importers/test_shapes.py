"""Shapes that a model leaves open: fixed by the caller, and followed through all operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder
from builders.graphs.inferences import assert_runs_as_golden
from builders.operator_cases import Cases

from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import PADDING
from kaniwa.cli import main
from kaniwa.errors import InputError, UnsupportedError
from kaniwa.importers import load_model
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.verify.litert import LiteRT

Q = {"scale": 0.1, "zero_point": 3}


def keyword_spotter(open_size: int = 1) -> bytes:
    """A convolution, a head, and the exporter's way to a new shape; ``open_size`` stands for what
    is left open."""
    rng, n, t = np.random.default_rng(1), open_size, open_size
    cases = Cases()
    b = cases.builder
    x = b.tensor("input", [n, t, 10, 1], signature=[-1, -1, 10, 1], **Q)
    cases.inputs.append(x)
    w = cases.given(rng.integers(-99, 99, (8, 3, 3, 1)).astype(np.int8), True, scale=0.01,
                    zero_point=0)
    bias = cases.given(np.zeros(8, np.int32), True, scale=0.001, zero_point=0)
    y = b.tensor("maps", [n, t, 10, 8], **Q)
    cases.op("CONV_2D", [x, w, bias], [y], Padding=PADDING["SAME"], StrideH=1, StrideW=1)
    shape = b.tensor("shape", [4], "int32")
    cases.op("SHAPE", [y], [shape], OutType=2)
    batch = b.tensor("batch", [], "int32")
    cases.op("STRIDED_SLICE", [shape, cases.numbers([0]), cases.numbers([1]), cases.numbers([1])],
             [batch], ShrinkAxisMask=1)
    new = b.tensor("new", [3], "int32")
    cases.op("PACK", [batch, cases.numbers(np.array(-1)), cases.numbers(np.array(80))], [new],
             ValuesCount=3)
    rows = b.tensor("rows", [n, t, 80], **Q)
    cases.op("RESHAPE", [y, new], [rows])
    mean = b.tensor("mean", [n, 80], **Q)
    cases.op("MEAN", [rows, cases.numbers([1])], [mean], KeepDims=False)
    z = b.tensor("answer", [n, 80], scale=1 / 256, zero_point=-128)
    cases.op("LOGISTIC", [mean], [z])
    return b.build([x], [z])


def test_all_shapes_follow_from_the_input_s() -> None:
    pytest.importorskip("ai_edge_litert")
    content = keyword_spotter()
    graph = import_tflite(content, "m.tflite", {"input": (2, 7, 10, 1)})
    assert [op.kind for op in graph.ops] == ["CONV_2D", "RESHAPE", "MEAN", "LOGISTIC"]
    assert graph.tensors[graph.outputs[0]].shape == (2, 80)
    x = np.random.default_rng(0).integers(-128, 128, (2, 7, 10, 1)).astype(np.int8)
    (theirs,) = LiteRT(content, graph).run([x]).values()
    assert np.array_equal(golden.run(graph, [x])[graph.outputs[0]], theirs)
    assert_runs_as_golden(graph, "base", {"input": x})


def test_an_open_size_is_named_with_the_way_out() -> None:
    content = keyword_spotter(-1)
    with pytest.raises(UnsupportedError, match="is dynamic; fix the inputs' with --shape NAME=1x"):
        import_tflite(content, "m.tflite")
    assert import_tflite(content, "m.tflite", {"input": (1, 5, 10, 1)}).ops


@pytest.mark.parametrize("shapes, message", [
    ({"x": (1, 5, 10, 1)}, "has no input 'x'; its inputs are input"),
    ({"input": (1, 5, 10)}, "input 'input' cannot have the shape [1, 5, 10]; in the file it has "
                            "[-1, -1, 10, 1]"),
    ({"input": (1, 5, 10, 2)}, "input 'input' cannot have the shape [1, 5, 10, 2]; in the file it "
                               "has [-1, -1, 10, 1]"),
])
def test_shapes_that_do_not_fit_are_named(shapes: dict[str, tuple[int, ...]],
                                          message: str) -> None:
    with pytest.raises(InputError) as error:
        import_tflite(keyword_spotter(), "m.tflite", shapes)
    assert str(error.value) == f"m.tflite: {message}"


def onnx_of_open_sizes() -> bytes:
    b = OnnxBuilder(1, "int8", opset=20)
    x = b.activation((1, 4, 8), 0.05)
    return b.model(b.quantized(b.node("Relu", [b.quantized(x, 0.05)]), 0.05))


def test_the_command_line_takes_shapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(keyword_spotter(-1))
    for arguments, status in ((["run", str(path), "--random", "--check", "--json", "--shape",
                                "input=1x49x10x1"], 0),
                              (["compile", str(path), "--shape", "input=1x"], 2)):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == status
    shown = capsys.readouterr()
    assert '"mismatches": 0' in shown.out
    assert "--shape input=1x: expected NAME=1x49x40" in shown.err


def test_onnx_models_take_the_shape_of_an_open_size(tmp_path: Path) -> None:
    import onnx

    model = onnx.load_model_from_string(onnx_of_open_sizes())
    name = model.graph.input[0].name
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "time"
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match="give --shape NAME="):
        load_model(path)
    graph = load_model(path, {name: (1, 9, 8)})
    assert graph.tensors[graph.inputs[0]].shape == (1, 9, 8)
    with pytest.raises(InputError, match="cannot have the shape"):
        load_model(path, {name: (1, 9, 7)})
