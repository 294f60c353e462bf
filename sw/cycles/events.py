"""Cycle model: what the units tell each other, in cycles of a run."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from kaniwa.cycles.log import Log
from kaniwa.isa import UNITS

__all__ = ["Events", "Reader"]

# A reader of device memory: yields the cycle in which its next request comes, or None while that
# hangs on events not known yet, and is sent the cycle of the grant.
Reader = Generator[int | None, int, None]


@dataclass
class Events:
    """Messages between the units, each kind in the order of time. ``*_ready``: first cycle of use.

    ``offered``: when instructions are there for the units; ``open``: from when on units take them,
    ``opened`` of these in all.
    ``load_ready`` counts words of memory. ``frees``: (cycle, position) of the line buffer;
    ``*_releases``: (cycle, count so far) of rings. ``list_ready``: of a step list its first word.
    ``watermarks``: for each instruction cycles and addresses, ``written`` of them in all;
    ``retired``: cycles.
    ``waits``: cycles in which the load unit waited for a watermark, (first, past the last).
    ``log``: where the units tell what they do, if anyone asks.
    ``rows``: for each instruction the output rows that are modelled, ``shifts``: those left out.
    ``news``: true where a unit that waits may now know how to go on.
    ``patches_awaited``: true while others wait for words that the load unit reads.
    ``skipped``: cycles left out so far; what the run reports is so much later than the model's own
    cycles (see ``Steady``). ``cuts``: since when, and how many of them.
    """

    offered: dict[str, list[int]] = field(default_factory=lambda: {u: [] for u in UNITS})
    open: dict[str, list[int]] = field(default_factory=lambda: {u: [] for u in UNITS})
    opened: int = 0
    load_ready: list[int] = field(default_factory=list)
    ring_ready: list[int] = field(default_factory=list)
    parameters_ready: list[int] = field(default_factory=list)
    operand_ready: list[int] = field(default_factory=list)
    operand_used: list[int] = field(default_factory=list)
    frees: list[tuple[int, int]] = field(default_factory=list)
    ring_releases: list[tuple[int, int]] = field(default_factory=list)
    parameter_releases: list[tuple[int, int]] = field(default_factory=list)
    list_ready: list[int] = field(default_factory=list)
    list_releases: list[tuple[int, int]] = field(default_factory=list)
    watermarks: list[tuple[list[int], list[int]]] = field(default_factory=list)
    written: int = 0
    retired: list[int] = field(default_factory=list)
    post_done: list[int] = field(default_factory=list)
    waits: list[tuple[int, int]] = field(default_factory=list)
    log: Log | None = None
    rows: list[int] = field(default_factory=list)
    shifts: list[int] = field(default_factory=list)
    news: bool = True
    patches_awaited: bool = False
    skipped: int = 0
    cuts: list[tuple[int, int]] = field(default_factory=list)

    def real(self, cycle: int) -> int:
        """The run's cycle for one of the model's that is told now."""
        real = cycle + self.skipped
        for since, skipped in reversed(self.cuts):
            if cycle > since:
                break
            real -= skipped
        return real

    def opens(self, unit: str, cycle: int) -> None:
        """The unit takes its next instruction from then on."""
        self.open[unit].append(cycle)
        self.opened += 1
        self.news = True

    def begun(self, unit: str, index: int) -> int | None:
        """When the unit took an instruction that it was offered, if that is known."""
        if len(self.open[unit]) <= index:
            return None
        return max(self.offered[unit][index], self.open[unit][index])
