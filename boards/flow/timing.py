"""Clocks and critical paths, from the report of nextpnr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Path", "Timing", "read_timing"]


@dataclass(frozen=True)
class Path:
    """A critical path: the blocks it goes through, in order, and its delays in ns."""

    blocks: tuple[str, ...]
    start: str
    end: str
    logic: float
    routing: float

    def __str__(self) -> str:
        return (f"{' -> '.join(self.blocks)}: {self.logic + self.routing:.2f} ns "
                f"({self.logic:.2f} logic, {self.routing:.2f} routing), {self.start} to {self.end}")


@dataclass(frozen=True)
class Timing:
    """Results of a run of place-and-route: clock in MHz, places used by name, longest path."""

    mhz: float
    used: Mapping[str, int]
    path: Path | None


def read_timing(report: Mapping[str, Any], block: Callable[[str], str]) -> Timing:
    """The slowest clock of a report. ``block`` gives the block of a cell."""
    clocks = report["fmax"]
    used = {name: values["used"] for name, values in report["utilization"].items()}
    if not clocks:
        return Timing(0.0, used, None)
    slowest = min(clocks, key=lambda name: clocks[name]["achieved"] / clocks[name]["constraint"])
    path = next((_read_path(path["path"], block) for path in report["critical_paths"]
                 if path["from"].split(" ", 1)[-1] == path["to"].split(" ", 1)[-1] == slowest),
                None)
    return Timing(clocks[slowest]["achieved"], used, path)


def _read_path(steps: list[Mapping[str, Any]], block: Callable[[str], str]) -> Path:
    blocks: list[str] = []
    delays = {True: 0.0, False: 0.0}
    for step in steps:
        delays[step["type"] == "routing"] += step["delay"]
        passed = block(step["to"]["cell"])
        if not blocks or blocks[-1] != passed:
            blocks.append(passed)
    first, last = steps[0]["from"]["cell"], steps[-1]["to"]["cell"]
    return Path((block(first), *blocks[blocks[0] == block(first):]), first, last,
                round(delays[False], 2), round(delays[True], 2))
