"""Bars of long verbs on a terminal of 80 columns, and silence where there is none."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from kaniwa import cli
from kaniwa.commands import progress
from kaniwa.compiler.pipeline import PIPELINE
from kaniwa.stage import Stage
from kaniwa.terminal import bars
from kaniwa.terminal.bars import Bars

KANIWA = [sys.executable, "-m", "kaniwa"]
HIDE_CURSOR = "\x1b[?25l"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
SPEECH, DATA = "{models}/tflm_micro_speech.tflite", "{models}/inputs/resnet8_ten.npz"

# Verb -> options on small things, and the bars to be shown: the unit of each and its whole.
PASSES = ("passes", len(PIPELINE) + 1)     # and the one that emits the program
VERBS = {
    "compile": (f"{SPEECH} -o {{folder}}/a.kaniwa", {PASSES}),
    "estimate": (f"{SPEECH} --all-boards", {("targets", None)}),
    "run": (f"{SPEECH} --random --limit 3 --device emulator", {PASSES, ("inferences", 3)}),
    "evaluate": (f"{{models}}/mlperf_ic_resnet8.tflite --data {DATA} --limit 2",
                 {PASSES, ("inferences", 2)}),
    "verify": (f"{SPEECH} --limit 2", {("inferences", 2)}),
    "diff": (f"{SPEECH} --random --devices golden,emulator", {PASSES}),
    "selftest": ("--device emulator --target small --memory quick",
                 {("bytes", 4 << 16), ("layers", None)}),
    "bench": ("--quick --device estimate --models anomaly", {("models", 1)}),
    "mlperf-tiny": ("ic01 --limit 2 --iterations 1", {("samples", 2), ("runs", 5)}),
    "flash": (f"{SPEECH} --board ulx3s_85f --bitstream {{folder}}/a.bit -o {{folder}}/f.bin "
              "--write", {PASSES, ("%", 100)}),
    "program": ("--board ulx3s_85f --bitstream {folder}/a.bit", {("%", 100)}),
}


class Terminal:
    """A pseudo-terminal as standard error; ``close`` gives all that was written to it."""

    def __init__(self) -> None:
        self._master, terminal = os.openpty()
        self.file = os.fdopen(terminal, "w")
        self._pieces: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):      # the terminal's end
            while piece := os.read(self._master, 4096):
                self._pieces.append(piece)

    def close(self) -> str:
        self.file.close()
        self._reader.join()
        os.close(self._master)
        return b"".join(self._pieces).decode()


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], str]:
    """Run a command line in this process with a terminal as standard error; what it was shown."""
    for name in ("NO_COLOR", "CI", progress.NO_PROGRESS, "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(bars, "DELAY", 0.0)

    def call(arguments: list[str]) -> str:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", terminal.file)
            try:
                with pytest.raises(SystemExit):
                    cli.main(arguments)
            finally:
                shown = terminal.close()
        return shown

    return call


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Bars, Stage]]:
    """The stages that bars were given."""
    heard: list[tuple[Bars, Stage]] = []
    show = Bars.show

    def listen(self: Bars, text: str) -> None:
        heard.append((self, Stage.of(text)))
        show(self, text)

    monkeypatch.setattr(Bars, "show", listen)
    return heard


def lines(shown: Bars, width: int = 80) -> list[str]:
    """What ``shown`` draws on a terminal of ``width`` columns, without colours."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(shown.lines(console))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def fill(folder: Path) -> None:
    """A bitstream, and a tool that tells how far it is with writing it."""
    (folder / "a.bit").write_bytes(b"\xff\xff\xbd\xb3, the preamble of ECP5")
    tool = folder / "openFPGALoader"
    tool.write_text("#!/bin/sh\nprintf 'Loading: [=====     ] 50.00%%\\r'\n"
                    "printf 'Loading: [==========] 100.00%%\\nDone\\n'\n")
    tool.chmod(0o755)


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_long_verb_shows_bars_within_80_columns(
        verb: str, on_terminal: Callable[[list[str]], str], told: list[tuple[Bars, Stage]],
        models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    line, expected = VERBS[verb]
    shown = on_terminal([verb, *line.format(models=models, folder=tmp_path).split()])
    assert HIDE_CURSOR not in shown
    assert shown.endswith("\x1b[2K"), "the line is taken away"
    drawn = [ESCAPES.sub("", line) for line in re.split(r"[\r\n]+", shown)]
    assert max(map(len, drawn)) <= 80
    found = {(stage.unit, stage.total) for _, stage in told if stage.total}
    for unit, total in expected:
        assert any(unit == u and total in (None, t) for u, t in found), found
    for stage in {repr(stage): stage for _, stage in told}.values():
        own = Bars(verb, lambda: 0.0)
        own.show(stage)
        drawn = lines(own)
        assert all(len(line) <= 80 for line in drawn)
        assert not stage.total or re.search(r" ━* *(\d\S*/\S+|\d+ %) ", drawn[-1]), drawn
    assert all(0 <= stage.done <= stage.total for _, stage in told if stage.total)


@pytest.mark.rtl
def test_the_simulated_core_shows_the_cycles_of_one_inference(
        on_terminal: Callable[[list[str]], str], told: list[tuple[Bars, Stage]],
        models: Path) -> None:
    on_terminal(["run", str(models / "tflm_micro_speech.tflite"), "--random", "--device", "sim",
                 "--target", "small"])
    cycles = [stage for _, stage in told if stage.unit == "cycles"]
    assert cycles and all(0 < stage.done <= stage.total for stage in cycles)
    assert {(stage.steady, stage.short) for stage in cycles} == {(True, "")}


@pytest.mark.parametrize(("options", "environment"), [
    (["--no-progress"], {}), ([], {progress.NO_PROGRESS: "1"}), ([], {"TERM": "dumb"})])
def test_a_terminal_without_progress_stays_empty(
        options: list[str], environment: dict[str, str], models: Path, tmp_path: Path,
        on_terminal: Callable[[list[str]], str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    verb = ["compile", str(models / "tflm_micro_speech.tflite"), "-o", str(tmp_path / "a.kaniwa")]
    assert on_terminal([*options, *verb]) == on_terminal([*verb, *options]) == ""


@pytest.mark.parametrize(("name", "colours"), [("NO_COLOR", False), ("CI", True)])
def test_no_color_takes_the_colours_and_ci_changes_nothing(
        name: str, colours: bool, models: Path, on_terminal: Callable[[list[str]], str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    shown = on_terminal(["verify", str(models / "tflm_micro_speech.tflite"), "--limit", "1"])
    assert "━" in shown and bool(re.search(r"\x1b\[[0-9;]*3[0-9]", shown)) == colours


def test_a_pipe_gets_results_only(models: Path, tmp_path: Path) -> None:
    done = subprocess.run([*KANIWA, "compile", str(models / "tflm_micro_speech.tflite"), "-o",
                           "a.kaniwa"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "FORCE_COLOR": "1"})
    assert done.returncode == 0 and done.stderr == "" and "wrote a.kaniwa" in done.stdout
    assert "━━" not in done.stdout.splitlines()[-1]


def test_rate_and_time_left_are_those_of_the_last_half_minute() -> None:
    now = [0.0]
    shown = Bars("running on sim", lambda: now[0])
    assert lines(shown) == [], "what is quick does not flicker"
    for second in range(1, 41):
        now[0] = float(second)
        shown.show(Stage("", 10_000 * min(second, 20) + 100_000 * max(0, second - 20), 4_000_000,
                         "cycles"))
        (line,) = lines(shown)
    assert re.search(r"running on sim ━+╸? +2.2M/4.0M 70.0k/s 0:26 left$", line), line


def test_stages_that_take_unlike_long_show_the_time_since() -> None:
    now = [0.0]
    shown = Bars("compiling", lambda: now[0])
    now[0] = 75.0
    shown.show(Stage("tile", 3, 15, "passes", steady=False))
    assert re.search(r"compiling: tile ━+╸? +3/15 1:15$", lines(shown)[0])
    shown.show(Stage("estimating the cycles"))
    assert re.search(r"compiling: estimating the cycles 1:15$", lines(shown)[0])


@pytest.mark.parametrize("width", [200, 80, 60, 40, 20])
def test_seeds_are_side_by_side_until_each_is_through(width: int) -> None:
    now = [0.0]
    shown = Bars("building for icebreaker", lambda: now[0])
    shown.show(Stage("place and route", 0, 2, "seeds", steady=False))
    shown.show(Stage("seed 1: routing", 9_000, 16_280, "connections", task="seed 1"))
    shown.show(Stage("seed 2: refining the placement, step 15", task="seed 2"))
    now[0] = 10.0
    drawn = lines(shown, width)
    assert len(drawn) == 3 and max(map(len, drawn)) <= width
    if width >= 80:
        assert "seed 1: routing" in drawn[1] and "9000/16.3k" in drawn[1]
        assert "step 15" in drawn[2]
    shown.show(Stage("", task="seed 1"))
    assert len(lines(shown, width)) == 2


def test_inferences_move_on_by_what_the_device_tells_of_each(
        monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Stage] = []
    device = SimpleNamespace(progress=None)
    device.progress = quiet = heard.clear

    @contextlib.contextmanager
    def shown(what: str) -> Iterator[Callable[[str], None]]:
        yield lambda text: heard.append(Stage.of(text))

    def work(count: int) -> Iterator[int]:
        for number in range(count):
            for cycles in (200_000, 400_000, 200_000):     # a second run after the second
                device.progress(Stage(f"{cycles:,} cycles", cycles, unit="cycles"))
            yield number

    monkeypatch.setattr(progress, "_shown", shown)
    assert list(progress.track(work(1), 1, "running", device, 900_000)) == [0]
    assert [(s.done, s.total) for s in heard if s.unit == "cycles"] == [
        (200_000, 900_000), (400_000, 900_000), (600_000, 900_000)]
    heard.clear()
    assert list(progress.track(work(2), 2, "running", device, 800_000)) == [0, 1]
    assert [(s.done, s.total) for s in heard] == [
        (0, 2), (0.25, 2), (0.5, 2), (0.75, 2), (1, 2), (1, 2), (1.25, 2), (1.5, 2), (1.75, 2),
        (2, 2)]
    assert device.progress == quiet


@pytest.mark.parametrize("options", [[], ["-v"]])
def test_interrupt_gives_the_terminal_back_as_it_was(options: list[str], models: Path) -> None:
    """Ctrl-C typed into the terminal itself, while a bar is shown."""
    script = ("from kaniwa.terminal import bars; bars.DELAY = 0.0; from kaniwa.cli import main; "
              "main()")
    command = [sys.executable, "-c", script, "run", str(models / "mlperf_ic_resnet8.tflite"),
               "--random", "--limit", "100000", *options]
    master, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    environment.pop(progress.NO_PROGRESS, None)
    with subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
            start_new_session=True, preexec_fn=lambda: (
                signal.signal(signal.SIGINT, signal.default_int_handler),
                fcntl.ioctl(0, termios.TIOCSCTTY, 0))) as process:
        shown = b""
        while b"running on emulator" not in shown:
            shown += os.read(master, 4096)
        os.write(master, b"\x03")
        while b"interrupted" not in shown:
            shown += os.read(master, 4096)
    assert process.returncode == 130
    assert termios.tcgetattr(terminal) == before
    os.close(terminal)
    with contextlib.suppress(OSError):
        while piece := os.read(master, 4096):
            shown += piece
    os.close(master)
    text = shown.decode()
    assert HIDE_CURSOR not in text and "Traceback" not in text
    assert text.endswith(f"kaniwa: {cli.INTERRUPTED}\r\n")
