"""Tables of layers: 80 columns, and for each layer what tells it apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kaniwa
from kaniwa import cli
from kaniwa.commands.tables import shape_text, show_layers
from kaniwa.program.layer_labels import layer_labels
from kaniwa.program.summary import summary

MODELS = [("mlperf_ic_resnet8.tflite", "base"), ("mlperf_vww_mbv1_96.tflite", "base"),
          ("mlperf_kws_dscnn.tflite", "base"), ("digits_transformer.tflite", "base_recurrent"),
          ("tflm_mnist_lstm.tflite", "base_vector"), ("digits_gru_qdq.onnx", "base_recurrent"),
          ("pytorch_shapes_qdq.onnx", "base"), ("onnx_mlperf_ic_qdq.onnx", "base")]


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert not stopped.value.code, captured.err
    return captured.out.splitlines()


@pytest.mark.parametrize(("model", "target"), MODELS)
def test_a_row_a_layer_fits_80_columns(model: str, target: str, models: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    program = kaniwa.compile(models / model, target=target)
    layers = summary(program)["layers"]
    show_layers("title", layers)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line for line in lines if line.split()[:1] and line.split()[0].isdecimal()]
    assert [row.split()[0] for row in rows] == [str(n + 1) for n in range(len(layers))]
    for row, layer in zip(rows, layers, strict=True):
        assert layer["op"].split("+")[0].split("_")[0] in row
        assert not layer["shape"] or shape_text(layer["shape"]) in row
        assert "host" in row if layer["where"] == "host" else f"{layer['cycles']:,}" in row


def test_rows_have_operator_kernel_shape_and_name(models: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "estimate", models / "mlperf_ic_resnet8.tflite")
    words = [line.split() for line in lines]
    assert ["4", "CONV_2D", "1x1/2", "16x16x32", "conv2d_5"] in [row[:5] for row in words]
    assert ["3", "CONV_2D+ADD", "3x3", "32x32x16", "conv2d_2"] in [row[:5] for row in words]
    assert ["12", "SOFTMAX", "10", "Identity_int8", "host"] in words


def test_a_layer_has_the_same_number_in_every_table(models: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    model = models / "pytorch_shapes_qdq.onnx"      # the host has its first two operators
    pooled = [next(line.split()[:3] for line in printed(capsys, *arguments)
                   if "MAX_POOL_2D" in line)
              for arguments in (("estimate", model), ("run", model, "--limit", 1))]
    assert pooled[0] == pooled[1] == ["4", "MAX_POOL_2D", "2x2/2"]


@pytest.mark.parametrize(("model", "says"), [
    ("mlperf_ic_resnet8.tflite", "a layer's cycles begin where the one before ends"),
    ("mlperf_vww_mbv1_96.tflite", "all of the model's multiplications count"),
    ("tflm_micro_speech.tflite", None)])
def test_utilization_above_1_is_explained_below_the_table(
        model: str, says: str | None, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("estimate", models / model), ("run", models / model, "--limit", 1)):
        lines = printed(capsys, *arguments)
        notes = [line for line in lines if line.startswith("* above 1: ")]
        starred = [line for line in lines if re.search(r"\d\*( |$)", line)]
        assert (len(notes) == 1 and says in notes[0]) if says else not notes
        assert bool(starred) == bool(says)


@pytest.mark.parametrize(("names", "labels"), [
    (["model/conv2d/Relu", "model/conv2d_1/Relu", "model/dense/BiasAdd"],
     ["conv2d", "conv2d_1", "dense"]),
    (["a/relu;net/conv_2/Conv2D;net/conv_1/Conv2D", "b/relu;net/conv_2/Conv2D"],
     ["conv_1", "conv_2"]),
    (["net/block_1/expand/Relu", "net/block_1/project/Relu", "net/block_2/expand/Relu",
      "net/block_2/project/Relu"],
     ["block_1/expand", "block_1/project", "block_2/expand", "block_2/project"]),
    (["Net/Block_0/LayerNorm;1", "Net/Block_0/LayerNorm;2"], ["LayerNorm;1", "LayerNorm;2"]),
    (["same", "same"], ["same", "same"]), (["only/one/here"], ["one"]), ([], [])])
def test_a_label_is_the_part_of_a_name_that_differs(names: list[str], labels: list[str]) -> None:
    assert layer_labels(names) == labels


def test_long_labels_lose_what_they_share_then_their_beginning() -> None:
    quantized = [f"val_{n}_QuantizeLinear_Output" for n in range(3)]
    assert layer_labels(quantized, 12) == ["val_0", "val_1", "val_2"]
    assert layer_labels(["abcdefghijklmnop"], 8) == ["…jklmnop"]


def test_run_prints_its_outputs_in_brief(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "run", models / "mlperf_ic_resnet8.tflite", "--random", "--limit", 12)
    at = lines.index("outputs")
    assert lines[at + 1].split() == ["inference", "output", "shape", "dtype", "class",
                                     "probability", "first", "values"]
    assert max(map(len, lines[at:])) <= 80
    assert [line.split()[:4] for line in lines[at + 3:at + 13]] == [
        [str(n), "Identity_int8", "10", "int8"] for n in range(10)]
    assert "and 2 more inferences: --output FILE.npz has all" in lines


@pytest.mark.parametrize(("model", "unit"), [
    ("mlperf_kws_dscnn.tflite", "probability"), ("digits_transformer.tflite", "score"),
    ("onnx_mlperf_ic_qdq.onnx", "probability")])
def test_top_says_what_its_values_stand_for(model: str, unit: str, models: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "run", models / model, "--limit", 1, "--top", 2)
    assert any(line.split()[:3] == ["inference", "class", unit] for line in lines)
