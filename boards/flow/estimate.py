"""Needs of a model on a board, without one: memory, time at the board's clock, time on the line.

Needs neither the gateware nor any tool of a build.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaniwa.boards.board import BOARDS, Board, load_board
from kaniwa.compiler.added_memory import compile_with_memory
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.link_time import link_time
from kaniwa.errors import CompileError, MemoryTooSmallError, UnsupportedError
from kaniwa.graph import Graph
from kaniwa.isa.counters import RunStatistics
from kaniwa.program.program import Program
from kaniwa.program.summary import summary

__all__ = ["Clock", "board_clock", "estimate_board", "every_target"]


@dataclass(frozen=True)
class Clock:
    """The clock to count with, in MHz, and where it comes from: target or built."""

    mhz: float
    source: str
    note: str = ""


def every_target() -> list[tuple[Board, str]]:
    """Each board with each of its targets."""
    return [(board, target) for board in map(load_board, BOARDS) for target in board.targets]


def board_clock(board: Board, target: str, builds: Path | None) -> Clock:
    """The clock of the build in the folder ``builds``, else the one that the board is built for.

    A bitstream runs at the clock of its PLL. Where not every seed of the build reached that, the
    slowest seed's clock counts. A build of another config does not count.
    """
    config = board.config(target)
    own = any(board.config(name) == config for name in board.targets)
    wanted = Clock(board.clock_mhz(target), "target", "" if own else
                   f"not a target of this board: the clock is that of {board.default_target}, and "
                   "only a build tells whether it fits the FPGA")
    built = None if builds is None else _summary(builds, board, target)
    if built is None:
        return wanted
    try:
        if built["config"] != config.hash:
            return dataclasses.replace(wanted, note="the build there is of another config")
        made, worst = float(built["target_mhz"]), float(built["clock_mhz"]["worst"])
        if built["meets_timing"]:
            return Clock(made, "built")
        return Clock(worst, "built", f"the worst seed's: {made:g} MHz is not met")
    except (KeyError, TypeError, ValueError):
        return dataclasses.replace(wanted, note="the build's summary there cannot be read")


def estimate_board(graph: Graph, board: Board, target: str, *, builds: Path | None = None,
                   **options: Any) -> dict[str, Any]:
    """Figures of one inference; plain values. ``options`` are those of ``compile``.

    ``fits`` is False where the model cannot be compiled for the target: then ``why`` says it, and
    there are no figures.
    """
    config = board.config(target)
    clock = board_clock(board, target, builds)
    values: dict[str, Any] = {
        "board": board.name, "title": board.title, "model": graph.name, "target": config.name,
        "config_hash": config.hash, "clock_mhz": clock.mhz, "clock": clock.source,
        "clock_note": clock.note, "available_bytes": config.memory_bytes, "why": ""}
    try:
        program = compile_with_memory(graph, config, board.outside(target), **options)
    except MemoryTooSmallError as error:
        return values | {"fits": False, "memory_bytes": error.needed_bytes,
                         "why": f"needs {_kib(error.needed_bytes)} of "
                                f"{_kib(config.memory_bytes)} KiB"}
    except (CompileError, UnsupportedError) as error:
        reason = str(error).removeprefix(f"{graph.name}: ")
        return values | {"fits": False, "memory_bytes": None, "why": reason}
    return values | summary(program) | _times(program, clock.mhz, board.pace)


def _times(program: Program, mhz: float, pace: int) -> dict[str, Any]:
    statistics = estimate(program)
    line = link_time(program, pace)
    compute, link = statistics.cycles / mhz / 1e3, 1e3 * line.seconds
    return {
        "milliseconds": compute, "link_milliseconds": link,
        "total_milliseconds": compute + link,
        "inferences_per_second": 1e3 / (compute + link) if compute else None,
        "compute_inferences_per_second": 1e3 / compute if compute else None,
        "load_milliseconds": 1e3 * line.load_seconds,
        "input_bytes": line.input_bytes, "output_bytes": line.output_bytes,
        "link_bytes_out": line.to_device, "link_bytes_in": line.from_device,
        "link_bytes_per_second": pace, "exchanges": line.exchanges,
        "bottleneck": "host" if not compute else "link" if link > compute
        else _busiest(program, statistics)}


def _busiest(program: Program, statistics: RunStatistics) -> str:
    """array, or what it waits for most where that takes more cycles than it works."""
    cycles: Counter[str] = Counter()
    for tag in statistics.per_layer(program.turns):
        cycles["array"] += tag.issued
        cycles.update(tag.lost)
    return max(cycles, key=lambda name: cycles[name])


def _summary(folder: Path, board: Board, target: str) -> Any:
    """Report of ``kaniwa bitstream`` on its build; None if there was none."""
    try:
        return json.loads((folder / f"{board.name}-{Path(target).stem}.json").read_text())
    except OSError:
        return None
    except ValueError:
        return {}


def _kib(size: int) -> int:
    return -(-size // 1024)
