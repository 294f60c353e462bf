"""Makes the runs of a report: compiles models for targets, and gathers what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaniwa.compiler.added_memory import compile_with_memory
from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.errors import (
    CompileError,
    InputError,
    MemoryTooSmallError,
    ProgramError,
    UnsupportedError,
)
from kaniwa.importers import load_model
from kaniwa.outside import ADDED_OUTSIDE
from kaniwa.program.file import load_program
from kaniwa.program.program import Program
from kaniwa.report.run import Clock, Parts, fitting_run, unfit_run

if TYPE_CHECKING:
    from kaniwa.boards.board import Board
    from kaniwa.graph import Graph

__all__ = ["ASSUMED_MHZ", "Wanted", "make_runs"]

ASSUMED_MHZ = 100.0         # of a target that no board is built for
PROGRAM_SUFFIX = ".kaniwa"

Progress = Callable[[str], None]
Accuracy = Callable[[Program], dict[str, Any]]


@dataclass(frozen=True)
class Wanted:
    """What is asked for beside models and targets.

    ``clock_mhz`` overrides any other clock. ``builds``: folder of ``kaniwa bitstream``. ``options``
    are those of ``compile``. ``counted``: what ``kaniwa run --json`` printed. ``accuracy``:
    measures a program over labelled data.
    """

    board: str | None = None
    clock_mhz: float | None = None
    builds: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    counted: Mapping[str, Any] | None = None
    accuracy: Accuracy | None = None
    progress: Progress = lambda text: None


def make_runs(models: Sequence[Path], targets: Sequence[str] | None, wanted: Wanted) -> list[
        dict[str, Any]]:
    """A run for each model and target, in this order.

    ``targets`` None: the board's default target, or base; a program file has its own. What cannot
    be compiled is a run that does not fit; where it is the only run, only for lack of memory.
    """
    from kaniwa.boards.board import load_board

    board = None if wanted.board is None else load_board(wanted.board)
    names = list(targets or ([board.default_target] if board else ["base"]))
    alone = len(models) * len(names) == 1
    runs = []
    for path in models:
        if path.suffix == PROGRAM_SUFFIX:
            runs.append(_of_program(path, targets, board, wanted))
            continue
        wanted.progress(path.name)
        graph = load_model(path)
        runs += [_of_model(graph, name, board, wanted, alone) for name in names]
    if wanted.counted is not None and len(runs) > 1:
        raise InputError(f"the counters of a run are for one model on one target, not "
                         f"{len(runs)}: leave --run out")
    return runs


def _of_program(path: Path, targets: Sequence[str] | None, board: Board | None,
                wanted: Wanted) -> dict[str, Any]:
    wanted.progress(path.name)
    if any(wanted.options.get(name) for name in ("materialize", "keep_dead_channels", "outside",
                                                  "require_accelerator")):
        raise ProgramError(f"{path}: is compiled already; give the model for compile options")
    program = load_program(path)
    for target in targets or ():
        program.check_target(_config(board, target))
    return _run(program, _clock(board, program.config.name, program.config, wanted), wanted,
                Parts())


def _of_model(graph: Graph, target: str, board: Board | None, wanted: Wanted,
              alone: bool) -> dict[str, Any]:
    config = _config(board, target)
    clock = _clock(board, target, config, wanted)
    wanted.progress(f"{graph.name} for {config.name}")
    options = dict(wanted.options)
    try:
        added = None if board is None else board.outside(target)
        return _run(compile_with_memory(graph, config, added, **options), clock, wanted, Parts())
    except MemoryTooSmallError as error:
        why = str(error).removeprefix(f"{graph.name}: ").partition(";")[0]
        needed = error.needed_bytes
        if options.get("outside") is not None or board is not None or (
                not config.outside_limit):
            return unfit_run(graph.name, config, clock, why, needed)
    except (CompileError, UnsupportedError) as error:
        if alone:
            raise
        return unfit_run(graph.name, config, clock, str(error).removeprefix(f"{graph.name}: "),
                         None)
    program = compile(graph, target=config, **options | {"outside": ADDED_OUTSIDE})
    return _run(program, clock, wanted, Parts(outside_added=True, why=why))


def _run(program: Program, clock: Clock, wanted: Wanted, parts: Parts) -> dict[str, Any]:
    counted = wanted.counted
    if counted is not None and counted["target"] != program.config.name:
        raise InputError(f"the run is of target '{counted['target']}', the report of "
                         f"'{program.config.name}': give --target {counted['target']}")
    wanted.progress(f"{program.name}: cycles of {program.config.name}")
    accuracy = None if wanted.accuracy is None else wanted.accuracy(program)
    return fitting_run(program, clock, replace(parts, counted=counted, accuracy=accuracy))


def _config(board: Board | None, target: str) -> AcceleratorConfig:
    return load_target(target) if board is None else board.config(target)


def _clock(board: Board | None, target: str, config: AcceleratorConfig, wanted: Wanted) -> Clock:
    """The clock asked for, the board's, that of a board with this target, or the assumed one."""
    from kaniwa.boards.board import BOARDS, load_board
    from kaniwa.boards.flow.estimate import board_clock

    chosen = None if board is None else (board.name, board.title)
    pace = None if board is None else board.pace
    if wanted.clock_mhz is not None:
        return Clock(wanted.clock_mhz, "the clock that was asked for", chosen, pace)
    if board is not None:
        clock = board_clock(board, target, wanted.builds)
        made = "the clock of the build" if clock.source == "built" else "the clock it is built for"
        return Clock(clock.mhz, clock.note or made, chosen, pace)
    for other in map(load_board, BOARDS):
        if other.targets.get(target) and other.config(target) == config:
            return Clock(other.targets[target], f"the clock of {other.name}; --board or --clock "
                                                "gives another")
    return Clock(ASSUMED_MHZ, "assumed: no board is built for this target; --clock gives another")
