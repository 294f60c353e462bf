"""The command line as a user has it: from the model file to exact answers of the simulated core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kaniwa import Pipeline, cli, load_program

KANIWA = [sys.executable, "-m", "kaniwa.cli"]


def kaniwa(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run a verb with --json; its one JSON object."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(a) for a in (*arguments, "--json")])
    captured = capsys.readouterr()
    assert not stopped.value.code, captured.err
    values: dict[str, Any] = json.loads(captured.out)
    return values


@pytest.mark.rtl
def test_resnet8_on_the_simulated_core_is_exact(models: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    images = models / "inputs" / "resnet8_ten.npz"
    values = kaniwa(capsys, "run", models / "mlperf_ic_resnet8.tflite", "--target", "base",
                    "--device", "sim", "--input", images, "--output", tmp_path / "out.npz",
                    "--check")
    assert values["mismatches"] == 0 and values["checked"] == 100
    assert values["inferences"] == 10
    assert values["cycles"] <= 104_000
    assert sum(layer["cycles"] for layer in values["layers"]) == values["cycles"]
    assert np.array_equal(np.load(tmp_path / "out.npz")["Identity_int8"],
                          np.load(images)["expected"])


@pytest.mark.rtl
@pytest.mark.parametrize("model", [
    "mlperf_kws_dscnn.tflite", "mlperf_vww_mbv1_96.tflite", "mlperf_sww_1d.tflite",
    "mlperf_ad_fc_ae.tflite", "tflm_micro_speech.tflite", "onnx_mlperf_ic_qdq.onnx",
    "pytorch_shapes_qdq.onnx", "coral_mbv1_025_128_u8.tflite", "cfu_mbv2_160_035.tflite"])
def test_other_models_on_the_simulated_core_are_exact(
        model: str, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = kaniwa(capsys, "run", models / model, "--device", "sim", "--outside",
                    "ideal", "--limit", "2", "--check")
    assert values["mismatches"] == 0 and values["checked"]


def test_compiling_twice_gives_the_same_bytes(models: Path, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        subprocess.run([*KANIWA, "compile", models / "mlperf_ic_resnet8.tflite", "-o",
                        tmp_path / f"{name}.kaniwa"], check=True, capture_output=True)
    assert (tmp_path / "a.kaniwa").read_bytes() == (tmp_path / "b.kaniwa").read_bytes()


def test_disassembling_and_assembling_gives_the_same_bytes(models: Path, tmp_path: Path) -> None:
    program, copy = tmp_path / "a.kaniwa", tmp_path / "b.kaniwa"
    subprocess.run([*KANIWA, "compile", models / "mlperf_ic_resnet8.tflite", "-o", program],
                   check=True, capture_output=True)
    text = subprocess.run([*KANIWA, "disasm", program], check=True, capture_output=True).stdout
    subprocess.run([*KANIWA, "asm", "-", "-o", copy], input=text, check=True)
    assert program.read_bytes() == copy.read_bytes()


def test_program_file_runs_like_its_model(models: Path, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    model, program = models / "mlperf_ic_resnet8.tflite", tmp_path / "a.kaniwa"
    kaniwa(capsys, "compile", model, "-o", program)
    values = kaniwa(capsys, "run", program, "--device", "emulator", "--model", model, "--input",
                    models / "inputs" / "resnet8_ten.npz", "--check")
    assert values["mismatches"] == 0 and values["checked"] == 100


def test_float_input_is_quantized_and_output_dequantized(
        models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.load(models / "inputs" / "resnet8_ten.npz")
    real = images["input_1_int8"].astype(np.float32) + 128     # scale 1, zero point -128
    np.savez(tmp_path / "float.npz", input_1_int8=real)
    kaniwa(capsys, "run", models / "mlperf_ic_resnet8.tflite", "--device", "emulator", "--float",
           "--input", tmp_path / "float.npz", "--output", tmp_path / "out.npz")
    expected = (images["expected"].astype(np.float32) + 128) / 256
    assert np.array_equal(np.load(tmp_path / "out.npz")["Identity_int8"], expected)


def test_evaluate_counts_right_answers(models: Path, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    images = np.load(models / "inputs" / "resnet8_ten.npz")
    np.savez(tmp_path / "data.npz", x=images["input_1_int8"], y=images["labels"])
    values = kaniwa(capsys, "evaluate", models / "mlperf_ic_resnet8.tflite", "--device",
                    "emulator", "--data", tmp_path / "data.npz")
    assert (values["correct"], values["inferences"], values["mismatches"]) == (9, 10, 0)


def test_evaluate_shares_out_among_devices(models: Path, tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    images = np.load(models / "inputs" / "resnet8_ten.npz")
    np.savez(tmp_path / "data.npz", x=images["input_1_int8"], y=images["labels"])
    values = kaniwa(capsys, "evaluate", models / "mlperf_ic_resnet8.tflite", "--device",
                    "emulator,golden,emulator", "--data", tmp_path / "data.npz")
    assert (values["correct"], values["inferences"], values["mismatches"]) == (9, 10, 0)
    assert sum(share["inferences"] for share in values["devices"]) == 10
    assert [share["name"] for share in values["devices"]] == [
        "device 0 (emulator)", "device 1 (golden)", "device 2 (emulator)"]


def test_compile_for_several_devices_writes_a_program_each(
        models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = kaniwa(capsys, "compile", models / "mlperf_ic_resnet8.tflite", "--devices", "2",
                    "--pace", "100e6", "-o", tmp_path / "resnet8.kaniwa")
    files = [stage["program"] for stage in values["stages"]]
    assert files == [str(tmp_path / f"resnet8.{n}.kaniwa") for n in (1, 2)]
    images = np.load(models / "inputs" / "resnet8_ten.npz")
    with Pipeline(["emulator"] * 2, [load_program(file) for file in files]) as line:
        inputs = ({"input_1_int8": image[None]} for image in images["input_1_int8"])
        given = [outputs["Identity_int8"] for outputs in line.map(inputs)]
    assert np.array_equal(np.concatenate(given), images["expected"])


def test_evaluate_begins_each_inference_with_cleared_state(
        models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert")
    values = kaniwa(capsys, "evaluate", models / "tflm_mnist_lstm.tflite", "--device", "golden",
                    "--target", "base_vector", "--data", models / "inputs" / "mnist_1000.npz",
                    "--uint8", "--limit", "5", "--against", "litert")
    assert (values["correct"], values["inferences"], values["mismatches"]) == (5, 5, 0)


def test_verify_against_recorded_vectors(models: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    values = kaniwa(capsys, "verify", models / "mlperf_ic_resnet8.tflite", "--against",
                    "recorded", "--layers")
    assert values["mismatches"] == 0 and values["tensors"] > 16
    assert "LiteRT 2.3.0" in values["reference"]


def test_diff_finds_no_difference_between_golden_and_emulator(
        models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = kaniwa(capsys, "diff", models / "mlperf_ic_resnet8.tflite", "--devices",
                    "golden,emulator")
    assert values["first_difference"] is None and values["tensors"] >= 12


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_help_of_every_verb_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--help"])
    assert stopped.value.code == 0
    assert "Example: kaniwa" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("describe", "nano"), ("operators",), ("doctor",),
                                       ("cache",)])
def test_information_verbs_print_one_json_object(arguments: tuple[str, ...],
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert kaniwa(capsys, *arguments)


def test_files_that_go_while_the_cache_is_counted_are_none(
        tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    """A build takes folders away, which ended the command with a traceback."""
    (tmp_path / "kept").write_bytes(b"four")
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda folder: [
        (parent, folders, [*names, "gone"]) for parent, folders, names in walk(folder)])
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))
    assert kaniwa(capsys, "cache") == {
        "folder": str(tmp_path), "files": 1, "bytes": 4, "cleared": False}
