"""A trial: a config and models to figures, in a process of its own; and many of them at once.

All that a trial needs is in its ``Work``, which can be pickled, and ``run_trials`` gives a list of
them to the workers of ``kaniwa.parallel``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError, MemoryTooSmallError, UnsupportedError
from kaniwa.explore.area import REACH, area_model
from kaniwa.explore.beside import beside
from kaniwa.explore.clock import clock_model
from kaniwa.explore.outcome import Figures, Outcome
from kaniwa.explore.points import Point, known_points
from kaniwa.graph import Graph
from kaniwa.parallel.workers import Work as Task, Workers
from kaniwa.program.program import Program
from kaniwa.sdram_parts import PARTS

if TYPE_CHECKING:
    from kaniwa.boards.board import Board

__all__ = ["Work", "clock_of", "compiled", "figures_of", "fits", "limits",
           "routed_points", "run_trial", "run_trials", "share", "used_resources"]

# Beyond the fullest design that was routed for a device nothing says that another can be.
LEAST_LIMIT = 0.6
LOGIC = ("lut", "ff")
AREA = ("lut", "bram", "spram", "dsp")


@dataclass(frozen=True)
class Work:
    """What a trial needs. ``host``: for each model, the operators that the host may have."""

    config: AcceleratorConfig
    board: str
    models: tuple[str, ...]
    host: tuple[frozenset[str], ...]


def limits(board: Board) -> dict[str, float]:
    """The most of each resource that a design may take, of the device's: all block RAMs and
    multipliers, and of logic as much as the fullest routed design of the device, or 60 %."""
    routed = _routed_on(board)
    return {kind: 1.0 if kind not in LOGIC else max(
        [LEAST_LIMIT, *(point.placed[kind] / most for point in routed)])
        for kind, most in board.capacity.items()}


def routed_points(board: Board) -> list[Point]:
    """Points that were routed for the board, or one with the same device and the same beside its
    core, with sources of today."""
    return [point for point in _routed_on(board) if point.neighbors == beside(board)]


def _routed_on(board: Board) -> list[Point]:
    """Points that were routed for the board's device, with sources of today."""
    return [point for point in known_points()
            if point.device == board.device and point.clock_of_seed and not point.source]


def _routed(board: Board, config: AcceleratorConfig) -> Point | None:
    """The point of this config, where it was routed for the board with sources of today."""
    return next((point for point in routed_points(board) if point.hash == config.hash), None)


def used_resources(board: Board, config: AcceleratorConfig) -> dict[str, int]:
    """Resources that a core, with what is beside it, takes of a board's device: placed ones where
    it was routed, else those of the model."""
    if (point := _routed(board, config)) is not None:
        return dict(point.placed)
    return area_model(board.family, config.compact).used(config, beside(board))


def share(board: Board, used: Mapping[str, int]) -> float:
    """Mean share of the device's LUTs, memories and multipliers, in percent."""
    kinds = [kind for kind in AREA if kind in board.capacity]
    return 100 * sum(used[kind] / board.capacity[kind] for kind in kinds) / len(kinds)


def fits(board: Board, config: AcceleratorConfig) -> Outcome | None:
    """Why a core is taken not to fit a board, None where it is taken to: needs no model."""
    if _routed(board, config) is not None:
        return None
    block = area_model(board.family, config.compact).beyond(config, beside(board))
    if block is not None:
        return Outcome(config, None, "beyond the points", f"{block} has more than {REACH:g} times "
                       "as much of something as any design that was synthesized")
    used, most_of = used_resources(board, config), limits(board)
    # What is counted comes before what is modelled: that reason is certain.
    for kind in sorted(most_of, key=lambda kind: kind in LOGIC):
        limit = most_of[kind]
        most = board.capacity[kind]
        if used[kind] > limit * most:
            beyond = "" if used[kind] > most else (
                f", and beyond {limit:.0%} nothing was routed for it")
            return Outcome(config, None, f"too many {kind}",
                           f"about {used[kind]:,} of {most:,} {kind}{beyond}"
                           if kind in LOGIC else f"{used[kind]:,} of {most:,} {kind}")
    return None


def compiled(path: str, config: AcceleratorConfig, outside: str | None = None) -> Program:
    """A model's program, in ``outside`` memory what device memory has no room for. Raises what the
    compiler raises."""
    from kaniwa.compiler.added_memory import compile_with_memory

    return compile_with_memory(_graph(path), config, outside)


@functools.lru_cache(maxsize=16)
def _graph(path: str) -> Graph:
    from kaniwa.importers import load_model

    return load_model(Path(path))


def run_trial(work: Work) -> Outcome:
    """The outcome of a config: cycles by the cycle model, clock and area by the fitted ones."""
    from kaniwa.boards.board import load_board

    board, config = load_board(work.board), work.config
    if (unfit := fits(board, config)) is not None:
        return unfit
    programs = []
    used = used_resources(board, config)
    mhz = clock_of(board, config, used)
    for path, allowed in zip(work.models, work.host, strict=True):
        try:
            program = compiled(path, config, board.outside_at(mhz))
        except MemoryTooSmallError as error:
            return Outcome(config, None, "too little memory", str(error), error.needed_bytes)
        except (CompileError, UnsupportedError) as error:
            return Outcome(config, None, "not compiled", str(error))
        more = [op for op in program.host_ops if op.name not in allowed]
        if more:
            return Outcome(config, None, "operators on the host",
                           f"{program.name}: {more[0].kind} {more[0].name} would run on the host: "
                           f"{more[0].why}")
        programs.append(program)
    return Outcome(config, figures_of(board, programs, mhz, used))


def clock_of(board: Board, config: AcceleratorConfig, used: Mapping[str, int]) -> float:
    """MHz of the slowest seed: where it was routed that of the build, else the model's. An SDRAM at
    the core's clock may be slower."""
    point = _routed(board, config)
    mhz = point.clock_mhz if point and point.clock_mhz else (
        clock_model(board.device, config.compact).mhz(config, used["lut"]))
    return mhz if board.sdram is None else min(mhz, PARTS[board.sdram.part].cl3_mhz)


def figures_of(board: Board, programs: Sequence[Program], mhz: float, used: Mapping[str, int]
               ) -> Figures:
    """Figures of the programs of a core at a clock, with what it takes of the board's device."""
    from kaniwa.cycles.estimate import estimate
    from kaniwa.mlperf_tiny.energy import estimate_energy

    cycles = tuple(estimate(program).cycles for program in programs)
    energy = 1e6 * sum(estimate_energy(one).joules for one in programs)
    return Figures(cycles, round(mhz, 3), round(sum(cycles) / mhz / 1e3, 6),
                   round(share(board, used), 4), round(energy, 6),
                   {kind: used[kind] for kind in board.capacity})


def run_trials(works: Sequence[Work], workers: Workers) -> Iterator[Outcome]:
    """The outcome of each work, in their order; an error that no config is to blame for is raised,
    with the config's hash."""
    return workers.map(Task(run_trial, name=_name, unit="configs"), works)


def _name(place: int, work: Work) -> str:
    return work.config.hash
