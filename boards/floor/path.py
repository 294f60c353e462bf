"""The critical path, cell by cell: block, place, delay of logic and of the wire behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

__all__ = ["Hop", "Part", "read_hops", "read_parts"]


@dataclass(frozen=True)
class Hop:
    """A cell of the path. ``logic``: ns within it. ``routing``: ns of the wire to the next one.

    ``total``: ns from the path's start to the end of that wire.
    """

    cell: str
    block: str
    x: int
    y: int
    logic: float
    routing: float
    total: float

    @property
    def short(self) -> str:
        """The name without what holds all blocks, and without the types that synthesis adds."""
        name = re.sub(r"^accelerator\.(core\.(datapath\.)?)?", "", self.cell)
        return re.sub(r"(?<=.)_[A-Z]+[A-Z0-9]*_.*$", "", name)


@dataclass(frozen=True)
class Part:
    """Neighbouring cells of the path in one block. ``total``: ns from the path's start."""

    block: str
    cells: int
    logic: float
    routing: float
    total: float


def read_parts(hops: Iterable[Hop]) -> list[Part]:
    """The path by block, in order."""
    parts = []
    for block, cells in groupby(hops, lambda hop: hop.block):
        own = list(cells)
        parts.append(Part(block, len(own), sum(hop.logic for hop in own),
                          sum(hop.routing for hop in own), own[-1].total))
    return parts


def read_hops(steps: Sequence[Mapping[str, Any]], block: Callable[[str], str]) -> list[Hop]:
    """The cells of a path of nextpnr's report, in order."""
    cells: list[tuple[str, int, int]] = []
    logic: list[float] = []
    routing: list[float] = []
    for step in steps:
        for end in (step["from"], step["to"]):
            x, y = end["loc"]
            if not cells or cells[-1][0] != end["cell"]:
                cells.append((end["cell"], int(x), int(y)))
                logic.append(0.0)
                routing.append(0.0)
            if end is step["from"]:
                delays = routing if step["type"] == "routing" else logic
                delays[-1] += float(step["delay"])
    hops, total = [], 0.0
    for (cell, x, y), within, behind in zip(cells, logic, routing, strict=True):
        total += within + behind
        hops.append(Hop(cell, block(cell), x, y, round(within, 3), round(behind, 3),
                        round(total, 3)))
    return hops
