"""Shapes of inputs that a model leaves open: ``--shape`` and ``shapes=``."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from builders.files.onnx_models import OnnxBuilder

import kaniwa
from kaniwa import cli
from kaniwa.errors import InputError, UnsupportedError
from kaniwa.importers import load_model
from kaniwa.importers.input_shapes import parse_shapes

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture
def dynamic(tmp_path: Path) -> Path:
    """A model whose batch and sequence length are open."""
    b = OnnxBuilder(1)
    y = b.quantized(b.node("MatMul", [b.activation((1, 5, 4)), b.weights((4, 3))]), 0.5)
    model = onnx.load_model_from_string(b.model(y))
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[0].dim_param, dims[1].dim_param = "batch", "steps"
    path = tmp_path / "dynamic.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_open_sizes_are_fixed_by_name(dynamic: Path) -> None:
    graph = load_model(dynamic, shapes={"x0": (2, 7, 4)})
    assert graph.tensors[graph.inputs[0]].shape == (2, 7, 4)
    assert graph.tensors[graph.outputs[0]].shape == (2, 7, 3)
    assert kaniwa.compile(graph).name


def test_without_a_shape_the_error_names_the_option(dynamic: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"'x0'.*give --shape NAME=1x49x40"):
        load_model(dynamic)


@pytest.mark.parametrize(("shapes", "says"), [
    ({"y": (1, 2)}, "has no input 'y'; its inputs are x0"),
    ({"x0": (1, 2, 5)}, r"input 'x0' cannot have the shape \[1, 2, 5\]; in the file it has "
                        r"\[-1, -1, 4\]"),
    ({"x0": (1, 2)}, "cannot have the shape"),
])
def test_a_shape_that_does_not_fit_is_named(dynamic: Path, shapes: dict[str, tuple[int, ...]],
                                            says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_model(dynamic, shapes)


@pytest.mark.parametrize("text", ["x0", "=1x2", "x0=", "x0=1x0", "x0=1,2", "x0=1x-2"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected NAME=1x49x40"):
        parse_shapes([text])


def test_a_name_may_hold_an_equals_sign_and_comes_once() -> None:
    assert parse_shapes(["a=b=1x2"]) == {"a=b": (1, 2)}
    with pytest.raises(InputError, match="'a' has a shape already"):
        parse_shapes(["a=1", "a=2"])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status and what was printed."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    captured = capsys.readouterr()
    return int(caught.value.code or 0), captured.out or captured.err


def test_verbs_take_the_option(dynamic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    shape = ("--shape", "x0=1x6x4")
    status, output = run(capsys, "verify", str(dynamic), "--against", "onnxruntime", "--limit", "2",
                         "--json", *shape)
    assert status == 0 and json.loads(output)["mismatches"] == 0
    program = str(dynamic.with_suffix(".kaniwa"))
    for verb in (("info",), ("estimate",), ("compile", "-o", program)):
        assert run(capsys, *verb, str(dynamic), *shape)[0] == 0
    assert run(capsys, "run", program, "--random")[0] == 0
    status, output = run(capsys, "run", program, "--random", *shape)
    assert status == 1 and "is compiled already" in output


def test_tflite_models_have_their_sizes() -> None:
    path = MODELS / "mlperf_ic_resnet8.tflite"
    graph = load_model(path)
    name, shape = (lambda t: (t.name, t.shape))(graph.tensors[graph.inputs[0]])
    assert load_model(path, {name: shape}).inputs == graph.inputs
    with pytest.raises(InputError, match="cannot have the shape"):
        load_model(path, {name: (*shape[:-1], shape[-1] + 1)})
