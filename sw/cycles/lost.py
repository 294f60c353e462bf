"""Cycle model: the array's cycles without a step, by cause, and the counters that count them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaniwa.cycles.log import STATES
from kaniwa.isa import COUNTERS
from kaniwa.program.instruction import Values

__all__ = ["GATHER", "counters_at", "lost_cycles"]

GATHER = max(STATES.values()) + 1    # the array waits for reads of patches


def lost_cycles(idle: Sequence[tuple[int, int, int]], lacking: Sequence[tuple[int, int]],
                waits: Sequence[tuple[int, int]],
                held_back: Sequence[tuple[int, int]]) -> np.ndarray:
    """Rows of first, past the last and state, in order: ``idle`` with the causes that other units
    know, the reads of patches that are ``lacking`` input, the load unit that ``waits`` for its
    producer, the post unit that is ``held_back``.
    """
    parts = np.array(idle, np.int64).reshape(-1, 3)
    parts = _split(parts, GATHER, STATES["load"], np.array(lacking, np.int64))
    parts[parts[:, 2] == GATHER, 2] = STATES["fill"]
    parts = _split(parts, STATES["load"], STATES["dependency"], np.array(waits, np.int64))
    # A cycle without a step is counted one later.
    return _split(parts, STATES["requantize"], STATES["store"], np.array(held_back, np.int64) - 1)


def _split(idle: np.ndarray, cause: int, other: int, spans: np.ndarray) -> np.ndarray:
    """Of what is lost to ``cause``, the part within the ordered ``spans`` is lost to ``other``."""
    if not len(spans):
        return idle
    edges = np.unique(spans)
    before = np.searchsorted(edges, idle[:, 0], "right")    # edges up to where a part begins
    inner = np.where(idle[:, 2] == cause,
                     np.maximum(0, np.searchsorted(edges, idle[:, 1]) - before), 0)
    which = np.repeat(np.arange(len(idle)), inner + 1)
    number = np.arange(len(which)) - np.repeat(np.cumsum(inner + 1) - inner - 1, inner + 1)
    place, parts = before[which] + number, idle[which]
    begun, goes_on = number > 0, number < inner[which]
    parts[begun, 0] = edges[place[begun] - 1]
    parts[goes_on, 1] = edges[place[goes_on]]
    covered = np.append(0, np.maximum.accumulate(spans[:, 1]))
    covered = covered[np.searchsorted(spans[:, 0], parts[:, 0], "right")]
    parts[(parts[:, 2] == cause) & (covered > parts[:, 0]), 2] = other
    return parts


def counters_at(instructions: Sequence[Values], idle: np.ndarray, end: int,
                writes: Sequence[int]) -> dict[int, dict[str, int]]:
    """The counters as they stood when each instruction retired, by tag.

    They stand two cycles after the last write, and see the array's cycles one later.
    """
    last = np.array(writes, np.int64)
    lost = {}
    for cause in COUNTERS[2:]:
        own = idle[idle[:, 2] == STATES[cause]]
        lost[cause] = (_passed(own[:, 0], last + 1) - _passed(own[:, 1], last + 1)).tolist()
    snapshots = {}
    for number, (v, write) in enumerate(zip(instructions, writes, strict=True)):
        now = {cause: of_cause[number] for cause, of_cause in lost.items()}
        now["fill"] += 1 + max(0, write - end)
        snapshots[v["tag"]] = {
            "cycles": write + 2, "issued": write + 2 - sum(now.values()), **now}
    return snapshots


def _passed(since: np.ndarray, cycles: np.ndarray) -> np.ndarray:
    """Of each of ``cycles`` how many have passed up to it since all those of ``since`` before."""
    since = np.sort(since)
    count = np.searchsorted(since, cycles)
    passed: np.ndarray = cycles * count - np.append(0, np.cumsum(since))[count]
    return passed
