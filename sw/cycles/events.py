"""Cycle model: what the units tell each other, in cycles of a run."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from kaniwa.isa import UNITS

__all__ = ["Events", "Reader"]

# A reader of device memory: yields the cycle in which its next request comes, or None while that
# hangs on events not known yet, and is sent the cycle of the grant.
Reader = Generator[int | None, int, None]


@dataclass
class Events:
    """Messages between the units, each kind in the order of time. ``*_ready``: first cycle of use.

    ``offered``: when instructions are there for the units; ``open``: from when on units take them.
    ``load_ready`` counts words of memory. ``frees``: (cycle, position) of the line buffer;
    ``*_releases``: (cycle, count so far) of rings.
    ``watermarks``: for each instruction cycles and addresses, ``retired``: cycles.
    ``waits``: cycles in which the load unit waited for a watermark, (first, past the last).
    """

    offered: dict[str, list[int]] = field(default_factory=lambda: {u: [] for u in UNITS})
    open: dict[str, list[int]] = field(default_factory=lambda: {u: [] for u in UNITS})
    load_ready: list[int] = field(default_factory=list)
    ring_ready: list[int] = field(default_factory=list)
    parameters_ready: list[int] = field(default_factory=list)
    operand_ready: list[int] = field(default_factory=list)
    operand_used: list[int] = field(default_factory=list)
    frees: list[tuple[int, int]] = field(default_factory=list)
    ring_releases: list[tuple[int, int]] = field(default_factory=list)
    parameter_releases: list[tuple[int, int]] = field(default_factory=list)
    watermarks: list[tuple[list[int], list[int]]] = field(default_factory=list)
    retired: list[int] = field(default_factory=list)
    post_done: list[int] = field(default_factory=list)
    waits: list[tuple[int, int]] = field(default_factory=list)

    def begun(self, unit: str, index: int) -> int | None:
        """When the unit took an instruction that it was offered, if that is known."""
        if len(self.open[unit]) <= index:
            return None
        return max(self.offered[unit][index], self.open[unit][index])
