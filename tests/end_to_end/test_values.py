"""What verbs say of files that they are to write, and of numbers that are none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kaniwa import cli

SPEECH = "tflm_micro_speech.tflite"


@pytest.fixture
def folder(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own with a model in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(models / SPEECH, tmp_path / "m.tflite")
    return tmp_path


def failed(capsys: pytest.CaptureFixture[str], line: str) -> str:
    """What a command that fails says."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(line.split())
    said = capsys.readouterr()
    assert stopped.value.code in (1, 2) and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize("line", [
    "compile m.tflite -o m.tflite", "report m.tflite -o m.tflite",
    "report m.tflite -o x --csv m.tflite", "run m.tflite --random --output m.tflite",
    "flash m.tflite --board ulx3s_25f --image-only m.tflite", "compile m.tflite -o link",
    "quantize m.tflite --calibration m.tflite -o m.tflite"])
def test_what_is_read_is_not_written(folder: Path, line: str,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "link").symlink_to("m.tflite")
    before = (folder / "m.tflite").read_bytes()
    assert ": is read, too: give another --" in failed(capsys, line)
    assert (folder / "m.tflite").read_bytes() == before and (folder / "link").is_symlink()


def test_two_outputs_are_two_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert failed(capsys, "report m.tflite -o x --csv ./x") == (
        "kaniwa: x: is given for --output and for --csv\n")
    assert not (folder / "x").exists()


@pytest.mark.parametrize("line", [
    "hil --device emulator --soak 1 -o no/x.json", "run m.tflite --random --output no/y.npz",
    "mlperf-tiny kws01 --log .", "bench --device estimate --quick --markdown no/x.md",
    "selftest --device emulator --report no/x", "compile m.tflite --devices 2 -o no/x"])
def test_what_cannot_be_written_is_said_before_the_work(
        folder: Path, line: str, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    def works(*arguments: object, **options: object) -> None:
        raise AssertionError("it has begun")

    for name in ("kaniwa.driver.devices.open", "kaniwa.importers.load_model",
                 "kaniwa.driver.devices.check_name"):
        monkeypatch.setattr(name, works)
    assert ": cannot be written (" in failed(capsys, line)


@pytest.mark.parametrize(("verb", "option"), [
    ("serve m.tflite", "--timeout"), ("compile m.tflite --devices 2", "--pace"),
    ("hil --device emulator", "--soak"), ("mlperf-tiny kws01", "--seconds"),
    ("board-sim --board ulx3s_85f", "--bit-errors"), ("bench", "--clock-mhz")])
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_numbers_are_finite(folder: Path, verb: str, option: str, number: str,
                            capsys: pytest.CaptureFixture[str]) -> None:
    said = failed(capsys, f"{verb} {option} {number}")
    assert said.startswith(f"kaniwa: Invalid value for '{option}': ")


@pytest.mark.parametrize("line", ["run m.tflite --random --stalls 0.5",
                                  "evaluate m.tflite --data x.npz --stalls 0.5"])
def test_stalls_are_for_the_simulator(folder: Path, line: str,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    assert failed(capsys, line).startswith("kaniwa: --stalls is for ")


@pytest.mark.parametrize(("line", "reason"), [
    ("run m.tflite --input .", ".: is a folder, expected a file"),
    ("evaluate m.tflite --data m.tflite", "m.tflite: not a sound .npz or .npy file: it begins as "
                                          "neither does"),
    ("evaluate m.tflite --data cut.npz", "cut.npz: not a sound .npz or .npy file: is it cut off?"),
    ("unpack .", ".: is a folder, expected a file"),
    ("hil --device emulator --against no", "no: is no report of kaniwa hil (No such file or"),
    ("run m.tflite --random --device tcp:a:1?token-file=", "device 'tcp:a:1?token-file=': "
                                                           "token-file has no name of a file")])
def test_what_is_the_matter_with_a_file(folder: Path, line: str, reason: str,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "cut.npz").write_bytes(b"PK\x03\x04" + bytes(30))
    assert failed(capsys, line).startswith(f"kaniwa: {reason}")


@pytest.mark.parametrize(("arguments", "redirected", "status", "said"), [
    ("info no --json", ">/dev/full", 1, "kaniwa: no: no such file\n"),
    ("info no --json", ">&-", 1, "kaniwa: no: no such file\n"),
    ("info m.tflite", ">&-", 0, ""),
    ("run m.tflite --random --json", ">&-", 0, "")])
def test_standard_output_that_takes_nothing(folder: Path, arguments: str, redirected: str,
                                            status: int, said: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m kaniwa {arguments} --no-progress {redirected}"],
        stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, said)


def test_narrow_tables_keep_all_that_they_say(folder: Path, capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(columns: int) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit):
            cli.main(["info", "m.tflite"])
        return "".join(sorted(char for char in capsys.readouterr().out if char.isalnum()))

    assert shown(40) == shown(160) == shown(0)
