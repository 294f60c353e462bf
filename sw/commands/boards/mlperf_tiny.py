"""``kaniwa mlperf-tiny``."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.boards.until_ended import until_ended
from kaniwa.commands.completion import complete_boards, complete_devices, complete_targets
from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
from kaniwa.commands.values import FiniteRange, OutputFile
from kaniwa.errors import CompileError, DeviceError, InputError
from kaniwa.stage import Stage

if TYPE_CHECKING:
    from kaniwa.config import AcceleratorConfig
    from kaniwa.driver.devices import Device
    from kaniwa.mlperf_tiny.benchmarks import Benchmark
    from kaniwa.mlperf_tiny.suite import Plan, Result
    from kaniwa.program.program import Program

__all__ = ["mlperf_tiny_command"]

BOARD = "ulx3s_85f"     # whose target and clock simulators take by default
WIDTH = 80


@click.command("mlperf-tiny", epilog="Example: kaniwa mlperf-tiny ic01 kws01 --device emulator "
                                     "--log session.log")
@click.argument("benchmarks", nargs=-1, metavar="[ad01|ic01|kws01|vww01|sww01]...")
@click.option("--device", default="emulator", show_default=True, metavar="D",
              shell_complete=complete_devices,
              help="emulator, sim, sim:BOARD[?baud=B] (by default as the real board has it), "
                   "serial:PORT[?baud=B], tcp:HOST:PORT, udp:HOST[:PORT] or "
                   "spi:PATH[?hz=N].")
@click.option("--board", default=None, metavar="B", shell_complete=complete_boards,
              help="Board whose target is taken, and whose clock for emulator and sim "
                   f"[default: {BOARD}].")
@click.option("--target", default=None, metavar="T", shell_complete=complete_targets,
              help="A preset or a TOML file (default: the board's first target).")
@click.option("--outside", default=None, metavar="KIND",
              help="Outside memory, as of `kaniwa compile` (default: none, as boards have it).")
@click.option("--mode", type=click.Choice(["performance", "accuracy"]), default=None,
              help="What to measure (default: both).")
@click.option("--seconds", type=FiniteRange(min=0), default=None, metavar="S",
              help="Least time of a run on the device's clock (default: 10, the rules'; "
                   "0 on simulators).")
@click.option("--iterations", type=click.IntRange(min=1), default=10, show_default=True,
              metavar="N", help="Least inferences of a run; the rules have 10.")
@click.option("--data", multiple=True, metavar="[NAME=]X.npz",
              help="Labelled data of a benchmark: x and y; once for each. NAME may be left out "
                   "where one benchmark is measured.")
@click.option("--limit", type=click.IntRange(min=1), default=None, metavar="N",
              help="Use the first N samples only.")
@click.option("--folder", type=click.Path(path_type=Path), default=None, metavar="F",
              help="Folder of the models (default: that of the sources, else models/).")
@click.option("--log", "log_file", type=OutputFile(), default=None, metavar="FILE",
              help="Write all commands and answers, with times.")
@click.option("--serve-dut", "place", is_flag=False, flag_value="pty", default=None,
              metavar="[pty|tcp:HOST:PORT]",
              help="Measure nothing: offer the device to another runner, on a pseudo-terminal or "
                   "a TCP port, until Ctrl-C.")
@json_option
def mlperf_tiny_command(benchmarks: tuple[str, ...], device: str, board: str | None,
                        target: str | None, outside: str | None, mode: str | None,
                        seconds: float | None, iterations: int, data: tuple[str, ...],
                        limit: int | None, folder: Path | None, log_file: Path | None,
                        place: str | None, as_json: bool) -> None:
    """Measure MLPerf Tiny's benchmarks on a device: all, or those named.

    The runner and an adapter in front of the device speak MLPerf Tiny's text protocol. No result
    is a valid submission; the output says why. Energies are estimates, not measurements.
    """
    from kaniwa.benchmark.cases import models_folder
    from kaniwa.driver.devices import BOARDS, check_name
    from kaniwa.mlperf_tiny.benchmarks import BENCHMARKS, find_benchmark
    from kaniwa.mlperf_tiny.runner import RULES, Rules
    from kaniwa.mlperf_tiny.suite import Plan

    chosen = [find_benchmark(name) for name in dict.fromkeys(benchmarks or BENCHMARKS)]
    check_name(device)
    if device == "golden":
        raise DeviceError("golden has no clock: take emulator, sim or a board")
    device = _with_baud(device)
    files = _files(data, chosen)
    place_of_models = models_folder(folder)
    on = _system(device, board, target, outside)
    if place is not None:
        if len(chosen) != 1:
            raise InputError("--serve-dut: a device under test has one model: name one benchmark")
        _serve(chosen[0], place_of_models, on, place, as_json)
        return
    if seconds is None:
        seconds = RULES.seconds if device.startswith(BOARDS) else 0.0
    plans = {benchmark.name: Plan(
        place_of_models, mode != "accuracy", mode != "performance",
        Rules(seconds, iterations), files.get(benchmark.name), limit) for benchmark in chosen}
    results, notes = _measure(chosen, plans, on, log_file)
    if as_json:
        show_json(_values(results, notes, on))
    else:
        _show(results, notes, on)


def _with_baud(device: str) -> str:
    """A simulated board with the line of the real one: else its times would not be a board's."""
    from kaniwa.driver.devices import VIRTUAL, parse_virtual

    if not device.startswith(VIRTUAL) or parse_virtual(device).baud is not None:
        return device
    baud = parse_virtual(device).board.baud
    return f"{device}{'&' if '?' in device else '?'}baud={baud}"


def _files(data: Sequence[str], chosen: Sequence[Benchmark]) -> dict[str, Path]:
    """The file of each benchmark that has one. Raises InputError."""
    names = [benchmark.name for benchmark in chosen]
    files: dict[str, Path] = {}
    for text in data:
        name, equals, path = text.partition("=")
        if not equals and len(names) == 1:
            name, path = names[0], text
        if name not in names:
            raise InputError(f"--data {text}: expected NAME=FILE, NAME one of {', '.join(names)}")
        files[name] = Path(path)
    return files


@dataclass(frozen=True)
class _System:
    """What is measured: the device by name, its target, its outside memory, and its clock.

    ``clock_mhz`` is None where times are those of the device's line.
    """

    device: str
    config: AcceleratorConfig
    outside: str | None
    clock_mhz: float | None

    @contextlib.contextmanager
    def opened(self) -> Iterator[Device]:
        """The device, closed at the end."""
        from kaniwa.driver import devices

        with progress(f"starting {self.device}") as update:
            device = devices.open(self.device, target=self.config, outside=self.outside,
                                  progress=update)
        with device:
            yield device

    def compiled(self, benchmark: Benchmark, folder: Path) -> Program:
        """The benchmark's model."""
        from kaniwa.compiler.pipeline import compile
        from kaniwa.importers import load_model

        with progress(f"compiling {benchmark.name}"):
            return compile(load_model(folder / f"{benchmark.model}.tflite"), target=self.config,
                           outside=self.outside)


def _system(device: str, board: str | None, target: str | None, outside: str | None) -> _System:
    """What the options name. Raises InputError for a board that cannot be chosen."""
    from kaniwa.boards.board import load_board
    from kaniwa.driver.devices import BOARDS, VIRTUAL, target_of

    own = target_of(device)
    if own is not None and board is not None:
        raise InputError(f"--board {board}: {device} is a board itself")
    chosen = load_board(board or BOARD)
    name = target or own or chosen.default_target
    return _System(device, chosen.config(name), outside,
                   None if device.startswith((*BOARDS, VIRTUAL)) else chosen.clock_mhz(name))


def _serve(benchmark: Benchmark, folder: Path, on: _System, place: str, as_json: bool) -> None:
    from kaniwa.driver.session import Session
    from kaniwa.mlperf_tiny.dut import DutAdapter
    from kaniwa.mlperf_tiny.serve import check_place, serve

    def tell(where: str) -> None:
        if as_json:
            show_json({"benchmark": benchmark.name, "device": on.device,
                       "target": on.config.name, "place": where})
        else:
            click.echo(f"{benchmark.name} on {on.device}, target {on.config.name}: {where}")

    check_place(place)
    program = on.compiled(benchmark, folder)
    with until_ended(), on.opened() as device:
        serve(DutAdapter(Session(program, device), benchmark, clock_mhz=on.clock_mhz), place, tell)


def _measure(chosen: Sequence[Benchmark], plans: dict[str, Plan], on: _System,
             log_file: Path | None) -> tuple[list[Result], list[str]]:
    """The results, and why some have none. What cannot be had of a single one is its error."""
    from kaniwa.files import write_atomic
    from kaniwa.mlperf_tiny.runner import Log
    from kaniwa.mlperf_tiny.suite import run_benchmark

    programs, notes = [], list[str]()
    for benchmark in chosen:
        try:
            programs.append((benchmark, on.compiled(benchmark, plans[benchmark.name].folder)))
        except CompileError as error:
            if len(chosen) == 1:
                raise
            notes.append(f"{benchmark.name}: not measured: {error}")
    results, log = list[Any](), Log()
    if log_file is not None:         # a file that cannot be written is told before all runs
        write_atomic(log_file, b"")
    try:
        with on.opened() as device:
            for benchmark, program in programs:
                with progress(benchmark.name) as update:
                    try:
                        results.append(run_benchmark(
                            benchmark, program, device, plans[benchmark.name],
                            clock_mhz=on.clock_mhz, log=log, progress=_shown(benchmark, update)))
                    except InputError as error:
                        if len(chosen) == 1 or plans[benchmark.name].data is not None:
                            raise
                        notes.append(str(error))
    finally:
        if log_file is not None:     # of a failure, too: it is most wanted then
            write_atomic(log_file, log.text.encode())
    if not results:
        raise InputError("nothing was measured: " + "; ".join(notes))
    return results, notes


def _shown(benchmark: Benchmark, update: Any) -> Any:
    def show(what: str, done: int, total: int) -> None:
        unit = "samples" if what == "accuracy" else "runs"
        update(Stage(f"{benchmark.name}, {what}", done, total, unit))

    return show


def _values(results: Sequence[Result], notes: Sequence[str], on: _System) -> dict[str, Any]:
    return {
        "device": on.device, "target": on.config.name, "config_hash": on.config.hash,
        "clock_mhz": on.clock_mhz,
        "not_a_valid_submission": _reasons(results), "notes": _notes(results, notes),
        "energy": "an estimate by activity, not measured",
        "benchmarks": [{
            "benchmark": result.benchmark.name, "model": result.benchmark.model,
            "latency_seconds": result.latency, "inferences_per_second": 1 / result.latency,
            "cycles": result.cycles,
            "performance": None if result.performance is None else {
                "rates": result.performance.rates, "median": result.performance.rate,
                "inferences": result.performance.iterations,
                "seconds": result.performance.seconds},
            "quality": None if result.quality is None else {
                **asdict(result.quality), "target": result.benchmark.target,
                "official_samples": result.benchmark.official},
            "estimated_energy": asdict(result.energy)} for result in results]}


def _show(results: Sequence[Result], notes: Sequence[str], on: _System) -> None:
    clock = "time of its line" if on.clock_mhz is None else f"cycles at {on.clock_mhz:g} MHz"
    show_table(f"MLPerf Tiny on {on.device}, target {on.config.name}, {clock}", (
        "benchmark", "samples", "quality", "latency ms", "inf./s", "cycles", "est. uJ"), [
        (result.benchmark.name, *_quality(result), f"{1e3 * result.latency:,.3f}",
         f"{1 / result.latency:,.1f}", result.cycles, f"{1e6 * result.energy.joules:,.2f}")
        for result in results])
    for line in (*(f"not a valid submission: {reason}" for reason in _reasons(results)),
                 *_notes(results, notes),
                 "est. uJ: an estimate by activity with figures of 45 nm, not a measurement"):
        click.echo(textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False,
                                 break_long_words=False))


def _quality(result: Result) -> tuple[str, str]:
    if result.quality is None:
        return "", ""
    return f"{result.quality.samples:,}", f"{result.quality.measure} {result.quality.value:.3f}"


def _reasons(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(reason for result in results for reason in result.reasons))


def _notes(results: Sequence[Result], notes: Sequence[str]) -> list[str]:
    return [*notes, *(note for result in results for note in result.notes)]
