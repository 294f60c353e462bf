"""``kaniwa run`` from an image or a recording to named classes."""

from __future__ import annotations

import json
import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kaniwa import cli

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()


def run(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> str:
    """What ``kaniwa run`` prints; its one line of error for another status than 0."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", *map(str, arguments)])
    captured = capsys.readouterr()
    assert int(stopped.value.code or 0) == status, captured.err
    if status:
        assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err if status else captured.out


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run(capsys, *arguments, "--json"))
    return values


@pytest.fixture
def images(models: Path, tmp_path: Path) -> list[Path]:
    """The ten images of the demo as PNG files."""
    bytes_ = (np.load(models / "inputs" / "resnet8_ten.npz")["input_1_int8"] ^ -128).view(np.uint8)
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for path, pixels in zip(paths, bytes_, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES) + "\n")
    return tmp_path / "labels.txt"


def test_image_files_give_the_answers_of_their_arrays(
        models: Path, images: list[Path], labels: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [part for path in images for part in ("--image", path)]
    values = run_json(capsys, models / "mlperf_ic_resnet8.tflite", *arguments, "--labels", labels,
                      "--top", "2", "--check", "--output", tmp_path / "out.npz")
    ten = np.load(models / "inputs" / "resnet8_ten.npz")
    assert np.array_equal(np.load(tmp_path / "out.npz")["Identity_int8"], ten["expected"])
    assert values["preprocessing"] == {
        "files": [str(path) for path in images], "resize": "crop", "filter": "bilinear",
        "normalize": "0..255", "normalize_from": "quantization"}
    first = [answer["top"][0]["label"] for answer in values["answers"]]
    expected = ten["expected"].reshape(10, 10)
    assert first == [CLASSES[i] for i in expected.argmax(axis=1)]
    assert values["answers"][3]["top"][0]["quantized"] == expected[3].max()
    assert all(len(answer["top"]) == 2 for answer in values["answers"])
    assert values["mismatches"] == 0


def test_top_prints_real_values_with_what_they_mean(
        models: Path, images: list[Path], labels: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, models / "mlperf_ic_resnet8.tflite", "--image", images[0], "--labels",
               labels, "--normalize", "bytes")
    assert re.search("file +class +label +probability +quantized", text)
    assert "images: crop, bilinear, normalized bytes (as given)" in text
    assert text.count("0.png") == 5 and re.search("frog +0.996 +127", text)
    values = run_json(capsys, models / "mlperf_ic_resnet8.tflite", "--limit", "1", "--top", "1")
    assert values["answers"][0]["file"] is None and "preprocessing" not in values
    assert list(values["answers"][0]["top"][0]) == ["class", "label", "value", "quantized"]


def test_onnx_model_in_float_takes_a_named_normalization(
        models: Path, images: list[Path], labels: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    model = models / "onnx_mlperf_ic_qdq.onnx"
    values = run_json(capsys, model, "--image", images[8], "--normalize", "0..255", "--labels",
                      labels, "--check")
    assert values["mismatches"] == 0 and values["answers"][0]["top"][0]["label"] == "dog"
    line = run(capsys, model, "--image", images[8], status=1)
    assert "'input_1' is float32" in line and "give --normalize" in line


@pytest.mark.parametrize("arguments, says, status", [
    ("--image {folder}/labels.txt", "labels.txt: not an image", 1),
    ("--image {folder}/cut.png", "cut.png: not a sound image", 1),
    ("--image {folder}/0.png --labels {folder}/nine.txt", "nine.txt: 9 labels, but the model has "
     "10 classes", 1),
    ("--image {folder}/0.png --labels {folder}/0.png", "0.png: not UTF-8 text", 1),
    ("--image {folder}/0.png --normalize none", "no normalization 'none'", 1),
    ("--image {folder}/0.png --resize pad", "'pad' is not one of", 2),
    ("--image {folder}/0.png --input recorded", "instead of --input", 2),
    ("--image {folder}/0.png --uint8", "instead of --input", 2),
    ("--image {folder}/0.png --wav {folder}/0.wav", "--image or --wav, not both", 2),
    ("--features mfcc", "--features is for --wav", 2),
    ("--image {folder}/0.png --start 1", "--start is for --wav", 2),
    ("--wav {folder}/0.wav", "[1, 32, 32, 3], which no front end makes: mfcc [49, 10], lfbe "
     "[30, 40], microfrontend [49, 40]", 1),
    ("--normalize 0..1", "--normalize is for --image", 2),
    ("--filter nearest", "--filter is for --image", 2),
    ("--top 0", "--top", 2),
])
def test_what_does_not_fit_is_one_line(
        arguments: str, says: str, status: int, models: Path, images: list[Path], labels: Path,
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nine.txt").write_text("\n".join(CLASSES[1:]))
    (tmp_path / "cut.png").write_bytes(images[0].read_bytes()[:-100])
    line = run(capsys, models / "mlperf_ic_resnet8.tflite",
               *arguments.format(folder=tmp_path).split(), status=status)
    assert says in line


def test_models_that_take_no_image_are_named(models: Path, images: list[Path],
                                             capsys: pytest.CaptureFixture[str]) -> None:
    line = run(capsys, models / "mlperf_ad_fc_ae.tflite", "--image", images[0], "--normalize",
               "0..1", status=1)
    assert "[1, 640], which is not an image's" in line


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Half a second of a rising tone."""
    return write_wav(tmp_path / "tone.wav", (8000 * np.sin(np.arange(8000) ** 2 / 20000)))


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("model, features, classes", [
    ("mlperf_kws_dscnn", "mfcc", 12), ("mlperf_sww_1d", "lfbe", 3),
    ("tflm_micro_speech", "microfrontend", 4)])
def test_recordings_run_on_the_speech_models(
        model: str, features: str, classes: int, models: Path, recording: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    labels = recording.parent / "words.txt"
    labels.write_text("\n".join(f"word {i}" for i in range(classes)))
    values = run_json(capsys, models / f"{model}.tflite", "--wav", recording, "--labels", labels,
                      "--top", classes, "--float", "--check")
    assert values["mismatches"] == 0
    assert values["preprocessing"] == {"files": [str(recording)], "features": features,
                                       "start": 0.0, "features_from": "shape"}
    top = values["answers"][0]["top"]
    assert sorted(row["label"] for row in top) == sorted(labels.read_text().split("\n"))
    assert sum(row["value"] for row in top) == pytest.approx(1, abs=0.05)


def test_what_is_no_recording_of_the_model_is_one_line(
        models: Path, recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = models / "mlperf_kws_dscnn.tflite"
    folder = recording.parent
    other = write_wav(folder / "slow.wav", np.ones(100), 8000)
    assert "found 1 channel, 16 bits, 8000 Hz" in run(capsys, model, "--wav", other, status=1)
    long = write_wav(folder / "long.wav", np.arange(24000) % 1000)
    assert "one second is taken: say from where with --start" in run(
        capsys, model, "--wav", long, status=1)
    text = run(capsys, model, "--wav", long, "--start", "0.5", "--top", "1")
    assert "recordings: one second from 0.5 s, mfcc (told by the input's shape)" in text
    assert "no front end 'lpc': give one of mfcc" in run(
        capsys, model, "--wav", recording, "--features", "lpc", status=1)
    assert "[1, 49, 10, 1]: lfbe makes [30, 40]" in run(
        capsys, model, "--wav", recording, "--features", "lfbe", status=1)
