"""Clocks and critical paths, from the report of nextpnr."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kaniwa.errors import BuildError

__all__ = ["Path", "Timing", "critical_steps", "load_report", "read_timing"]


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


def load_report(path: pathlib.Path) -> dict[str, Any]:
    """The report that nextpnr wrote. BuildError where it is missing or damaged."""
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        _check(report)
        return report
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        raise BuildError(f"{path}: missing or damaged; remove its folder and build again") from None


def _check(report: Mapping[str, Any]) -> None:
    """Touch all that is read of a report, so that none of it fails later."""
    for clock in report["fmax"].values():
        float(clock["achieved"] / clock["constraint"])
    for values in report["utilization"].values():
        sum((values["used"], values["available"]))
    for path in report["critical_paths"]:
        for clock in (path["from"], path["to"]):
            clock.split(" ")
        for step in path["path"]:
            sum((step["delay"], *step["from"]["loc"], *step["to"]["loc"]))
            "".join((step["type"], step["from"]["cell"], step["to"]["cell"]))
            if len(step["from"]["loc"]) != 2 or len(step["to"]["loc"]) != 2:
                raise ValueError


def read_timing(report: Mapping[str, Any], block: Callable[[str], str],
                target: float | None = None) -> Timing:
    """The slowest clock of a report. ``block`` gives the block of a cell.

    ``target``: the accelerator's clock in MHz. Where a design has others besides, the one that is
    slowest against what it is asked for tells, in terms of the accelerator's.
    """
    clocks = report["fmax"]
    used = {name: values["used"] for name, values in report["utilization"].items()}
    if not clocks:
        return Timing(0.0, used, None)
    steps = critical_steps(report)
    slowest = clocks[_slowest(clocks)]
    mhz = slowest["achieved"]
    if target is not None and len(clocks) > 1:
        own = min((clock["constraint"] for clock in clocks.values()),
                  key=lambda asked: abs(asked - target))
        mhz = slowest["achieved"] / slowest["constraint"] * own
    return Timing(mhz, used, _read_path(steps, block) if steps else None)


def critical_steps(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The steps of the longest path between registers of the slowest clock; empty without one."""
    if not report["fmax"]:
        return []
    slowest = _slowest(report["fmax"])
    return next((path["path"] for path in report["critical_paths"]
                 if path["from"].split(" ", 1)[-1] == path["to"].split(" ", 1)[-1] == slowest), [])


def _slowest(clocks: Mapping[str, Any]) -> str:
    return min(clocks, key=lambda name: clocks[name]["achieved"] / clocks[name]["constraint"])


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
