"""What a unit does in the course of time, in a bounded number of spans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["MOST_SPANS", "UnitTrack", "Spans"]

MOST_SPANS = 60_000   # of a unit; a file of all units then stays below 60 MB
WIDER = 4             # times the window, until they are few enough


@dataclass(frozen=True)
class Spans:
    """Spans in the order of time, which do not overlap; each of one instruction.

    ``cycles``: how many of a span's cycles the unit was in each state, by the states' numbers; in
    those that are missing it was idle.
    """

    first: np.ndarray
    after: np.ndarray
    instruction: np.ndarray
    cycles: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


class UnitTrack:
    """Collects the spans of one unit; where they are too many, short neighbors are joined.

    ``window``: cycles of the windows in which spans that are shorter than that were joined, 1 where
    none were. Sums of cycles by state and instruction stay what they were.
    """

    def __init__(self, states: int, most: int = MOST_SPANS) -> None:
        self.window = 1
        self._states, self._most = states, most
        self._parts: list[Spans] = []
        self._count = 0

    def add(self, first: np.ndarray, cycles: np.ndarray, instruction: np.ndarray,
            state: np.ndarray) -> None:
        """Add spans of one state each, later than all that were added before."""
        counts = np.zeros((len(first), self._states), np.uint32)
        counts[np.arange(len(first)), state] = cycles
        first = first.astype(np.int64)
        self._parts.append(Spans(first, first + cycles, instruction.astype(np.int64), counts))
        self._count += len(first)
        while self._count > self._most:
            self.window *= WIDER
            self._join()

    def spans(self) -> Spans:
        """All spans so far, joined alike."""
        self._join()
        return self._parts[0]

    def _join(self) -> None:
        """Make one part of all, with one span for what is short and within a window."""
        parts = self._parts or [Spans(*(np.zeros(0, np.int64),) * 3,
                                      np.zeros((0, self._states), np.uint32))]
        first, after, instruction, cycles = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("first", "after", "instruction", "cycles"))
        if self.window > 1 and len(first):
            long = after - first >= self.window
            begins = np.ones(len(first), bool)
            begins[1:] = (long[1:] | long[:-1] | (instruction[1:] != instruction[:-1])
                          | (first[1:] // self.window != first[:-1] // self.window))
            places = np.flatnonzero(begins)
            last = np.append(places[1:], len(first)) - 1
            first, after, instruction = first[places], after[last], instruction[places]
            cycles = np.add.reduceat(cycles, places, axis=0, dtype=np.uint32)
        self._parts, self._count = [Spans(first, after, instruction, cycles)], len(first)
