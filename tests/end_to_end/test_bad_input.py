"""Bad input of every kind ends in one line that says what and where, with exit status 1 or 2."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from kaniwa import cli
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.program.file import to_bytes

KANIWA = [sys.executable, "-m", "kaniwa.cli"]


@dataclass(frozen=True)
class Case:
    """Arguments, with {names} of files in the folder of bad things, and what the line must say."""

    name: str
    arguments: str
    says: str
    status: int = 1


CASES = [
    Case("missing model", "compile {none}.tflite", "no such file"),
    Case("a folder as model", "compile {folder}", "folder"),
    Case("empty model", "compile {empty}.tflite", "empty"),
    Case("text as model", "compile {text}.tflite", "not a TFLite"),
    Case("truncated model", "compile {cut}.tflite", "cut.tflite"),
    Case("bit-flipped model", "compile {flipped}.tflite", "flipped.tflite"),
    Case("ONNX model", "compile {model}.onnx", "ONNX"),
    Case("float model", "compile {float}.tflite --require-accelerator", "float"),
    Case("unsupported operator", "compile {operator}.tflite", "HASHTABLE"),
    Case("does not fit on chip", "compile {resnet} --target small", "--outside"),
    Case("unknown target", "compile {resnet} --target huge", "unknown target 'huge'"),
    Case("target file missing", "compile {resnet} --target {none}.toml", "none.toml"),
    Case("target file not TOML", "compile {resnet} --target {text}.toml", "TOML"),
    Case("target with unknown field", "compile {resnet} --target {field}.toml", "'lanes'"),
    Case("target with illegal value", "compile {resnet} --target {illegal}.toml", "dot_width"),
    Case("unknown kind of outside memory", "compile {resnet} --outside flash", "flash"),
    Case("output folder missing", "compile {resnet} -o {folder}/none/x.kaniwa",
         "cannot be written"),
    Case("unknown device", "run {resnet} --device fpga", "fpga"),
    Case("board not plugged in", "run {resnet} --device serial:/dev/ttyUSB99 --input {good}.npz",
         "/dev/ttyUSB99: no such port"),
    Case("device server not running", "run {resnet} --device tcp:localhost:1 --input {good}.npz",
         "localhost:1: no connection"),
    Case("input file missing", "run {resnet} --input {none}.npz", "none.npz"),
    Case("wrong input name", "run {resnet} --input {name}.npz", "input_1_int8"),
    Case("wrong input shape", "run {resnet} --input {shape}.npz", "32"),
    Case("wrong input dtype", "run {resnet} --input {dtype}.npz", "float32"),
    Case("uint8 not asked for", "run {resnet} --input {uint8}.npz", "uint8"),
    Case("truncated input file", "run {resnet} --input {cut}.npz", "cut.npz"),
    Case("no inferences", "run {resnet} --input {zero}.npz", "at least one"),
    Case("pickled input", "run {resnet} --input {pickle}.npy", "pickle.npy"),
    Case("program missing", "run {none}.kaniwa", "none.kaniwa"),
    Case("not a program", "run {text}.kaniwa", "text.kaniwa"),
    Case("truncated program", "run {cut}.kaniwa", "cut.kaniwa"),
    Case("corrupt program", "run {flipped}.kaniwa", "flipped.kaniwa"),
    Case("program of another version", "run {version}.kaniwa", "version"),
    Case("program for another config", "run {program}.kaniwa --target nano", "nano"),
    Case("a compile option for a program", "run {program}.kaniwa --moves-on-device",
         "compiled already"),
    Case("check without the model", "run {program}.kaniwa --check", "--model"),
    Case("garbage to assemble", "asm {text}.txt -o {folder}/x.kaniwa", "line 1"),
    Case("labels missing", "evaluate {resnet} --data {good}.npz", "'y'"),
    Case("no recorded vectors", "verify {alone}.tflite --against recorded", "refs"),
    Case("unknown verb", "fly", "fly", 2),
    Case("unknown option", "compile {resnet} --fast", "--fast", 2),
    Case("argument missing", "compile", "MODEL", 2),
    Case("option out of range", "run {resnet} --limit 0", "limit", 2),
    Case("waveform of the emulator", "run {resnet} --trace {none}.vcd", "is for --device sim", 2),
    Case("timeline of golden", "run {resnet} --device golden --trace-events {none}.json",
         "is for --device sim or emulator", 2),
    Case("unknown virtual board", "run {resnet} --device sim:ulx4s", "BOARD one of colorlight_eth"),
    Case("chance of 1", "board-sim --board icebreaker --drops 1", "drops", 2),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """A folder with one bad file of each kind."""
    folder = tmp_path_factory.mktemp("bad")
    model = (models / "mlperf_ic_resnet8.tflite").read_bytes()
    (folder / "folder").mkdir()
    (folder / "resnet.tflite").write_bytes(model)
    (folder / "alone.tflite").write_bytes(model)
    (folder / "empty.tflite").touch()
    for ending in ("tflite", "toml", "kaniwa", "txt"):
        (folder / f"text.{ending}").write_text("this = is not what it says\nat all\n")
    (folder / "model.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    (folder / "cut.tflite").write_bytes(model[:len(model) // 2])
    (folder / "flipped.tflite").write_bytes(bytes([model[0] ^ 0x80]) + model[1:])
    (folder / "float.tflite").write_bytes(_model("float32", "ADD"))
    (folder / "operator.tflite").write_bytes(_model("int8", "HASHTABLE"))
    (folder / "field.toml").write_text("lanes = 8\n")
    (folder / "illegal.toml").write_text("dot_width = 12\n")
    _arrays(folder)
    _programs(folder, models)
    return folder


def _model(dtype: str, kind: str) -> bytes:
    builder = ModelBuilder()
    scales = () if dtype == "float32" else (0.5,)
    zero_points = () if dtype == "float32" else (0,)
    ids = [builder.tensor(name, (1, 4), dtype, scale=scales, zero_point=zero_points)
           for name in "abc"]
    builder.op(kind, ids[:2], ids[2:], FusedActivationFunction=0)
    return builder.build(ids[:2], ids[2:])


def _arrays(folder: Path) -> None:
    good = np.zeros((2, 32, 32, 3), np.int8)
    np.savez(folder / "good.npz", input_1_int8=good)
    np.savez(folder / "name.npz", wrong=good, other=good)
    np.savez(folder / "shape.npz", input_1_int8=good[:, :16])
    np.savez(folder / "dtype.npz", input_1_int8=good.astype(np.float32))
    np.savez(folder / "uint8.npz", input_1_int8=good.astype(np.uint8))
    np.savez(folder / "zero.npz", input_1_int8=good[:0])
    data = (folder / "good.npz").read_bytes()
    (folder / "cut.npz").write_bytes(data[:len(data) // 2])
    np.save(folder / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _programs(folder: Path, models: Path) -> None:
    import kaniwa

    data = to_bytes(kaniwa.compile(models / "mlperf_ic_resnet8.tflite"))
    (folder / "program.kaniwa").write_bytes(data)
    (folder / "cut.kaniwa").write_bytes(data[:-100])
    middle = len(data) // 2
    (folder / "flipped.kaniwa").write_bytes(
        data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:])
    (folder / "version.kaniwa").write_bytes(_other_version(data))


def _other_version(data: bytes) -> bytes:
    """The program with the version in its fixed header changed."""
    from kaniwa.program import program

    at = program.VERSION_OFFSET
    return data[:at] + bytes([data[at] + 1]) + data[at + 1:]


def _one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    return int(stopped.value.code or 0), captured.err


def test_every_bad_input_ends_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str],
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    names = {path.stem: str(path.with_suffix("")) for path in folder.iterdir()}
    names |= {"none": str(folder / "none"), "resnet": str(folder / "resnet.tflite")}
    rows, wrong = [], []
    for case in CASES:
        status, line = _one_line([part.format(**names) for part in case.arguments.split()], capsys)
        line = line.replace(f"{folder}/", "")
        rows.append(f"{case.name:32} {status}  {line.strip()}")
        good = (status == case.status and case.says.lower() in line.lower()
                and line.count("\n") == 1 and line.startswith("kaniwa: "))
        if not good:
            wrong.append(rows[-1])
    with capsys.disabled():
        print(f"\n{len(rows)} bad inputs, exit status and line of each:")
        print("\n".join(rows))
    assert not wrong, "\n".join(wrong)
    assert len(CASES) >= 25
    assert sorted(folder.rglob("*")) == before, "something was left behind"


def _limited(prepare: Callable[[], None], arguments: list[str], folder: Path,
             **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KANIWA, *arguments], cwd=folder, preexec_fn=prepare, text=True,
                          capture_output=True, env={**os.environ, **environment}, timeout=120)


def test_full_disk_leaves_nothing_half_written(folder: Path) -> None:
    done = _limited(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
                    ["compile", "resnet.tflite", "-o", "full.kaniwa"], folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "full.kaniwa: cannot be written" in done.stderr
    assert not list(folder.glob("*full.kaniwa*"))


def test_missing_compiler_is_named(folder: Path, tmp_path: Path) -> None:
    done = _limited(lambda: None, ["run", "resnet.tflite", "--device", "sim", "--limit", "1",
                                   "--input", "good.npz"],
                    folder, PATH=str(tmp_path), KANIWA_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "C++ compiler" in done.stderr


def _interruptible() -> None:
    """A shell's background job ignores SIGINT, and so does what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupt_ends_in_one_line(folder: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*KANIWA, "run", "resnet.tflite", "--device", "sim", "--input", "good.npz"],
        cwd=folder, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "KANIWA_CACHE": str(tmp_path / "cache")},
        preexec_fn=_interruptible)
    deadline = time.monotonic() + 60
    while not (tmp_path / "cache").exists() and time.monotonic() < deadline:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.count("\n") == 1 and "interrupted" in err
    assert not list((tmp_path / "cache").rglob("*.so")), "a build was taken for finished"
