"""Errors as JSON over all verbs, what -v and -vv log, and errors that nobody expected."""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import kaniwa
from kaniwa import cli, errors
from kaniwa.compiler.pipeline import PIPELINE

SPEECH = "{models}/tflm_micro_speech.tflite"

# Verb -> command lines that fail, with the type, the exit status and the place of each.
FAILURES: dict[str, list[tuple[str, str, int, str | None]]] = {
    "quantize": [("no_such.onnx --calibration x.npz", "ModelError", 1, None),
                 (f"{SPEECH} --calibration x.npz", "ModelError", 1, None),
                 ("no_such.onnx", "UsageError", 2, "--calibration")],
    "compile": [("no_such.tflite", "ModelError", 1, None),
                (f"{SPEECH} --target no_such", "ConfigError", 1, None),
                (f"{SPEECH} --target nano --outside ideal", "CompileError", 1, None),
                (f"{SPEECH} -o /no/such/folder/a.kaniwa", "Error", 1, None),
                (f"{SPEECH} --no-such", "UsageError", 2, "--no-such"),
                ("", "UsageError", 2, "model")],
    "export": [("no_such.tflite -o a.c", "ModelError", 1, None),
               (f"{SPEECH} -o a.c", "UnsupportedError", 1, None),
               (f"{SPEECH} -o a.h", "UsageError", 2, "-o"),
               (SPEECH, "UsageError", 2, "-o")],
    "run": [(f"{SPEECH} --device no_such", "DeviceError", 1, None),
            (f"{SPEECH} --input no_such.npz", "InputError", 1, None),
            (f"{SPEECH} --limit 0", "UsageError", 2, "--limit"),
            (f"{SPEECH} --trace a.vcd", "UsageError", 2, None)],
    "evaluate": [(f"{SPEECH} --data no_such.npz", "InputError", 1, None),
                 (SPEECH, "UsageError", 2, "--data")],
    "serve": [("no_such.tflite", "ModelError", 1, None),
              (f"{SPEECH} --device no_such", "DeviceError", 1, None),
              (f"{SPEECH} {SPEECH}", "InputError", 1, None),
              (f"{SPEECH} --host 0.0.0.0 --port 0", "DeviceError", 1, None),
              (f"{SPEECH} --token-file /no/such", "InputError", 1, None),
              (f"{SPEECH} --port 65536", "UsageError", 2, "--port"),
              ("", "UsageError", 2, "models")],
    "estimate": [("no_such.tflite", "ModelError", 1, None),
                 (f"{SPEECH} --board no_such", "ConfigError", 1, None),
                 (f"{SPEECH} --all-boards --target base", "UsageError", 2, None)],
    "examples": [("copy no_such", "InputError", 1, None)],
    "verify": [(f"{SPEECH} --against onnxruntime", "UnsupportedError", 1, None),
               (f"{SPEECH} --against no_such", "UsageError", 2, "--against")],
    "diff": [(f"{SPEECH} --devices emulator", "UsageError", 2, None)],
    "info": [("no_such.kaniwa", "ProgramError", 1, None)],
    "describe": [("no_such", "ConfigError", 1, None)],
    "operators": [("--no-such", "UsageError", 2, "--no-such")],
    "devices": [("too many", "UsageError", 2, None)],
    "selftest": [("--device golden", "DeviceError", 1, None),
                 ("--device serial:/no/such", "DeviceError", 1, None)],
    "hil": [("--device golden", "DeviceError", 1, None),
            ("--device emulator --models /no/such", "InputError", 1, None),
            ("--device emulator --against no_such.json", "InputError", 1, None)],
    "board-sim": [("--board no_such", "ConfigError", 1, None)],
    "bridge": [("emulator", "DeviceError", 1, None),
               ("serial:/dev/null --host 0.0.0.0", "DeviceError", 1, None),
               ("serial:/dev/null --port 65536", "UsageError", 2, "--port")],
    "doctor": [("no_such", "UsageError", 2, "parts")],
    "bench": [("--models no_such", "InputError", 1, None),
              ("--parts no_such", "UsageError", 2, None)],
    "mlperf-tiny": [("no_such", "InputError", 1, None),
                    ("--device golden", "DeviceError", 1, None),
                    ("--mode no_such", "UsageError", 2, "--mode")],
    "bitstream": [("--board no_such", "ConfigError", 1, None)],
    "flash": [("{models}/tflm_micro_speech.tflite --board ecpix5_85f", "ConfigError", 1, None)],
    "boot": [("1 --device emulator", "DeviceError", 1, None),
             ("1 --device serial:/no/such", "DeviceError", 1, None),
             ("9 --device serial:/no/such", "InputError", 1, None),
             ("1", "UsageError", 2, "--device")],
    "program": [("--board icebreaker -o /no/such", "DeviceError", 1, None)],
    "explore": [("no_such.tflite --board no_such", "ConfigError", 1, None),
                ("no_such.tflite --board icebreaker", "ModelError", 1, None),
                ("no_such.tflite --board icebreaker --objective x", "UsageError", 2,
                 "--objective")],
    "unpack": [("no_such.zip", "InputError", 1, None)],
    "generate": [("--bus no_such -o new", "ConfigError", 1, None),
                 ("--bus axi4 -o /no/such/new", "InputError", 1, None),
                 ("-o new", "UsageError", 2, "--bus")],
    "cache": [("--no-such", "UsageError", 2, "--no-such")],
}


def call(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    return int(stopped.value.code or 0)


def test_every_verb_with_json_is_tried() -> None:
    context = click.Context(cli.verbs)
    commands = {verb: cli.verbs.get_command(context, verb) for verb in cli.VERBS}
    assert set(FAILURES) == {verb for verb, command in commands.items() if command is not None
                             and any("--json" in option.opts and getattr(option, "is_flag", False)
                                     for option in command.params)}


@pytest.mark.parametrize("verb", list(FAILURES))
def test_a_failure_with_json_is_one_object_beside_the_usual_line(
        verb: str, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line, kind, status, where in FAILURES[verb]:
        arguments = [verb, *line.format(models=models).split()]
        assert call(arguments) == status, line
        plain = capsys.readouterr()
        assert plain.out == "" and plain.err.count("\n") == 1
        assert call([*arguments, "--json"]) == status
        told = capsys.readouterr()
        assert told.err == plain.err, line
        error = json.loads(told.out)["error"]
        assert (error["type"], error["exit_status"], error["where"]) == (kind, status, where), line
        assert f"kaniwa: {error['message']}\n" == told.err
        if kind != "UsageError":
            assert issubclass(getattr(errors, kind), kaniwa.Error)


def test_json_has_what_the_error_knows_beside_its_line(
        models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["compile", str(models / "mlperf_ic_resnet8.tflite"), "--target", "small",
                 "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "MemoryTooSmallError" and error["needed_bytes"] > 1 << 16


def test_no_second_object_follows_the_results(models: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["selftest", "--device", "emulator", "--target", "small", "--memory", "quick",
                 "--json", "--report", "/dev/full"]) == 1
    assert "parts" in json.loads(capsys.readouterr().out)


def test_an_interrupt_is_told_as_json(monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("kaniwa.config.load_target", _raiser(KeyboardInterrupt()))
    assert call(["describe", "base", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "Interrupted"


LOST = """
import sys, threading, weakref
import kaniwa.config
from kaniwa import cli

def interrupt(_):
    raise KeyboardInterrupt

def load_target(_):
    referred = type("Referred", (), {})()
    reference = weakref.ref(referred, interrupt)
    del referred
    threading.Event().wait(60)
    print("not interrupted")

kaniwa.config.load_target = load_target
hook = sys.unraisablehook
try:
    cli.main(["describe", "base"])
except SystemExit as stopped:
    assert sys.unraisablehook is hook
    raise
"""


def test_an_interrupt_in_a_callback_is_not_lost() -> None:
    """Python calls those of weak references where it can raise nothing, in imports for one."""
    done = subprocess.run(
        [sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert done.returncode == 130, done.stderr
    assert done.stdout == "" and "interrupted" in done.stderr


def _raiser(error: BaseException) -> Any:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def test_an_error_that_nobody_expected_is_one_line_and_a_traceback_with_vv(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("kaniwa.config.load_target", _raiser(KeyError("fault")))
    assert call(["describe", "base"]) == 1
    line = capsys.readouterr().err
    assert re.fullmatch(r"kaniwa: internal error, KeyError at test_errors_and_log.py:\d+: 'fault'; "
                        r"-vv shows the traceback, which makes a good report\n", line)
    assert call(["describe", "base", "-v"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert call(["-v", "describe", "base", "-v", "--json"]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("Traceback") and told.err.endswith(line)
    assert json.loads(told.out)["error"]["type"] == "KeyError"


@pytest.fixture
def no_handlers() -> Iterator[None]:
    yield
    handlers = logging.getLogger("kaniwa").handlers
    assert [type(handler) for handler in handlers] == [logging.NullHandler]
    assert logging.getLogger("kaniwa").level == logging.NOTSET


@pytest.mark.parametrize(("before", "behind", "levels"), [
    ([], [], set()), (["-v"], [], {"INFO"}), ([], ["-v"], {"INFO"}),
    (["--verbose"], [], {"INFO"}), ([], ["-vv"], {"INFO", "DEBUG"}),
    (["-vv"], [], {"INFO", "DEBUG"}), (["-v"], ["-v"], {"INFO", "DEBUG"}),
    ([], ["-vvvv"], {"INFO", "DEBUG"})])
@pytest.mark.usefixtures("no_handlers")
def test_v_logs_before_the_verb_and_behind_it(
        before: list[str], behind: list[str], levels: set[str], models: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert call([*before, "compile", str(models / "tflm_micro_speech.tflite"), "--json", "-o",
                 str(tmp_path / "a.kaniwa"), *behind]) == 0
    told = capsys.readouterr()
    json.loads(told.out)
    found = set()
    for line in told.err.splitlines():
        match = re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} (INFO |DEBUG) kaniwa\.[a-z.]+: .+", line)
        assert match, line
        found.add(match[1].strip())
    assert found == levels


def test_the_library_logs_what_it_does_and_prints_nothing(
        models: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.DEBUG, logger="kaniwa"):
        program = kaniwa.compile(models / "tflm_micro_speech.tflite")
        with kaniwa.open("emulator") as device:
            session = kaniwa.Session(program, device)
            session.run([model_input(program)])
    told = {(record.name, record.levelname) for record in caplog.records}
    assert told >= {("kaniwa.importers", "INFO"), ("kaniwa.compiler.pipeline", "INFO"),
                    ("kaniwa.compiler.pipeline", "DEBUG"), ("kaniwa.driver.devices", "INFO"),
                    ("kaniwa.driver.session", "DEBUG")}
    passes = [record.message for record in caplog.records if record.message.startswith("pass ")]
    assert len(passes) == len(PIPELINE) + 1
    assert all(re.fullmatch(r"pass \w+: \d+\.\d{3} s", p) for p in passes)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def model_input(program: kaniwa.Program) -> Any:
    import numpy as np

    (tensor,) = program.inputs
    return np.zeros(tensor.shape, tensor.dtype)


def test_no_module_of_the_library_prints(root: Path) -> None:
    allowed = {"sw/cli.py", "sw/__main__.py", "sw/terminal", "sw/commands"}
    printing = [path.relative_to(root).as_posix() for path in (root / "sw").rglob("*.py")
                if re.search(r"^\s*print\(", path.read_text(), re.MULTILINE)]
    assert [path for path in printing if not path.startswith(tuple(allowed))] == []
