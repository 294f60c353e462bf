"""Points that area and clock are fitted to: configs that were synthesized, most of them routed.

``points.json`` has one a line. It grows with each build: ``python tools/add_point.py``.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import InputError
from kaniwa.explore.beside import Beside, beside

__all__ = ["POINTS", "Point", "known_points", "load_points", "point_of_report", "points_digest",
           "points_text"]

POINTS = Path(__file__).with_name("points.json")


@dataclass(frozen=True)
class Point:
    """A config that was synthesized for a board.

    ``counts``: cells behind synthesis, by kind; ``blocks``: the same of each block, by name.
    ``beside``: what its board adds to the core, by the names of ``Beside``; empty for nothing.
    ``placed``: resources behind place and route. ``clock_of_seed``: MHz after routing by seed of
    nextpnr, empty where it was not routed. ``source``: the page that has it, for one of an earlier
    netlist, of which only the clock counts; empty for one of today's gateware.
    """

    board: str
    device: tuple[str, ...]
    family: str
    hash: str
    config: Mapping[str, Any]
    beside: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    blocks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    placed: Mapping[str, int] = field(default_factory=dict)
    clock_of_seed: Mapping[str, float] = field(default_factory=dict)
    source: str = ""

    @functools.cached_property
    def accelerator(self) -> AcceleratorConfig:
        """The config itself."""
        return AcceleratorConfig(**self.config)

    @functools.cached_property
    def neighbors(self) -> Beside:
        """What is beside the core."""
        return Beside(self.beside.get("sdram", False), tuple(self.beside.get("ethernet", ())),
                      self.beside.get("usb", False))

    @property
    def series(self) -> str:
        """What the speed of a device's logic goes by: its series or speed grade, which is the last
        word that the place-and-route tool is told of it."""
        return self.device[-1]

    @property
    def clock_mhz(self) -> float | None:
        """The clock of the slowest seed; None where it was not routed."""
        return min(self.clock_of_seed.values(), default=None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without those that are empty."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value}


def load_points(path: Path = POINTS) -> tuple[Point, ...]:
    """The points of a file. Raises InputError where it cannot be read or is damaged."""
    try:
        found = tuple(Point(**{**row, "device": tuple(row["device"])})
                      for row in json.loads(path.read_text()))
        for point in found:
            if point.accelerator.hash != point.hash:
                raise InputError(f"{path}: the point {point.hash} of {point.board} has a config "
                                 f"with the hash {point.accelerator.hash}")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: no file of points ({error})") from None
    return found


@functools.cache
def known_points() -> tuple[Point, ...]:
    """The points that come with kaniwa."""
    return load_points()


def points_digest() -> str:
    """A name for what the models are fitted to."""
    return hashlib.sha256(POINTS.read_bytes()).hexdigest()[:16]


def point_of_report(report: Mapping[str, Any], config: AcceleratorConfig) -> Point:
    """The point of what ``kaniwa bitstream`` wrote beside a bitstream, its ``.json``.

    ``config``: that of the target that was built. Raises InputError where the report is of another
    one or lacks something.
    """
    from kaniwa.boards.board import load_board

    try:
        if report["config"] != config.hash:
            raise InputError(f"the report is of the config {report['config']}, not of "
                             f"{config.name} ({config.hash}): give the target that was built")
        board = load_board(report["board"])
        blocks = {name: dict(counts) for name, counts in report["blocks"].items() if counts}
        added = {name: value for name, value in beside(board)._asdict().items() if value}
        return Point(board.name, board.device, board.family, config.hash, config.as_dict(), added,
                     {kind: sum(counts.get(kind, 0) for counts in blocks.values())
                      for kind in board.capacity},
                     blocks, dict(report["totals"]), dict(report["clock_of_seed"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"no report of kaniwa bitstream: {error} is missing or wrong") from None


def points_text(points: tuple[Point, ...]) -> str:
    """The text of a file of points, in their order by board, then by hash."""
    rows = [json.dumps(point.as_dict(), sort_keys=True)
            for point in sorted(points, key=lambda one: (one.board, one.hash, one.source))]
    return "[\n" + ",\n".join(rows) + "\n]\n"
