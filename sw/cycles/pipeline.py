"""Cycle model: the registers of the post unit, which stand still where a beat cannot leave them."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.look import Look

__all__ = ["PostPipeline"]

PIPELINED: Final = 9    # cycles of a requantization
SERIAL: Final = 5       # the same beside requant_cycles


class PostPipeline:
    """Beats from their start to their arrival at the store unit, in order.

    The requantizer ends in a buffer of two beats and stands still as a whole while it is full;
    behind it, with elementwise, is a register, that of the tables. The first way of a beat of an
    ADD ends there after a cycle; the sum starts again in the next one.
    ``entries``: of the beats on their way, the start in cycles in which the requantizer did not
    stand still, and whether it is the first way of an ADD. ``sums``: starts of sums to come,
    ``last_sum`` the last of them, ``sum_count`` how many there have been.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        cycles = config.requant_cycles
        self._depth = PIPELINED if cycles == 1 else cycles + SERIAL
        self._elastic = config.elementwise
        self._spacing = cycles
        self.entries: deque[tuple[int, bool]] = deque()
        self.sums: deque[int] = deque()
        self.last_sum, self.sum_count = -1, 0
        self._stood = 0         # cycles for which the requantizer has stood still
        self._stood_before = 0  # of them, before the last start
        self._stops: deque[tuple[int, int]] = deque()   # (first, past the last) after that
        self._next_start = 0    # in cycles in which it did not stand still
        self._gone = -1         # when the last beat left the buffer
        self._moved = 0         # when the register behind it was last left
        self._held = False      # whether the beat there has not left it
        # The beat that is next to leave the buffer, from when on, and the one whose leaving is
        # settled, when that is.
        self._first: tuple[int, bool] | None = None
        self._settled: tuple[int, bool] | None = None

    def state(self, look: Look) -> tuple[Any, ...]:
        """What the registers do next hangs on."""
        beats = [beat and (look.at(beat[0]), beat[1]) for beat in (self._first, self._settled)]
        return ([(moment + self._stood - look.now, adds) for moment, adds in self.entries],
                look.all(self.sums), look.all((self.last_sum, self._gone, self._moved)),
                look.at(self._next_start + self._stood_before),
                [look.all(stop) for stop in self._stops], self._stood - self._stood_before,
                self._held, beats)

    def start(self, cycle: int, adds: bool) -> int | None:
        """A beat that is there in ``cycle`` starts; None if beats before it must arrive first."""
        entries = self.entries
        while True:
            if self._first is None and entries:
                self._admit()
            if entries and entries[0][0] + self._depth + self._stood <= cycle:
                return None
            first, settled = self._first, self._settled
            if (first is not None and first[1] and first[0] + 2 <= cycle) or (
                    settled is not None and settled[1] and settled[0] + 2 <= cycle):
                return None     # its sum may start before
            if self.sums and self.sums[0] <= cycle:
                cycle += self.sums[0] == cycle
                self._start_sum()
                continue
            moment = cycle - self._stood_before
            if not self._stops and moment >= self._next_start:
                break
            moved = self._moving(cycle)
            if moved == cycle:
                moment = cycle - self._stood_before
                break
            cycle = moved
        entries.append((moment, adds))
        self._next_start = moment + self._spacing
        return cycle

    def start_sums(self, end: int) -> None:
        """No beat starts before ``end``, so the sums before that do."""
        while self.sums and self.sums[0] < end:
            self._start_sum()

    def _start_sum(self) -> None:
        cycle = self.sums.popleft()
        self._moving(cycle)
        self._enter(cycle, False)

    def _enter(self, cycle: int, adds: bool) -> None:
        moment = cycle - self._stood_before
        self.entries.append((moment, adds))
        self._next_start = moment + self._spacing

    def _moving(self, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which the requantizer takes a beat."""
        stops = self._stops
        while True:
            while stops and stops[0][1] <= cycle:
                first, after = stops.popleft()
                self._stood_before += after - first
            if stops and stops[0][0] <= cycle:
                cycle = stops[0][1]
            elif cycle - self._stood_before < self._next_start:
                cycle = self._next_start + self._stood_before
            else:
                return cycle

    def _admit(self) -> None:
        """The first beat on its way becomes the next one to leave the buffer."""
        if self._first is None and self.entries:
            moment, adds = self.entries.popleft()
            there = moment + self._depth + self._stood
            if there <= self._gone:     # the buffer is full until the one before it has gone
                after = self._gone + 1
                self._stops.append((there, after))
                self._stood += after - there
                there = after
            self._first = there, adds

    @property
    def empty(self) -> bool:
        """No beat is on its way."""
        return not self.entries and self._first is None and self._settled is None

    def settle(self) -> None:
        """The first beat leaves the requantizer, if that does not hang on the one before it."""
        self._admit()
        if (self._elastic and not self._held and self._settled is None
                and self._first is not None):
            (there, adds), self._first = self._first, None
            self._gone = max(there, self._moved)
            self._settled = self._gone, adds

    def arrive(self) -> tuple[int, bool, int] | None:
        """The first beat is at the end: since when, whether it adds, when it left the requantizer.

        Without elementwise it leaves that only when it leaves the post unit. None without a beat.
        """
        if self._first is None and self.entries:
            self._admit()
        if self._settled is not None:
            (left, adds), self._settled = self._settled, None
        elif self._first is None:
            return None
        else:
            there, adds = self._first
            if not self._elastic or self._held:
                return there, adds, there
            self._first = None
            left = self._gone = there if there > self._moved else self._moved
        there = left + 1
        self._held = not adds
        if adds:
            self._moved, self.last_sum = there, there + 1
            self.sum_count += 1
            self.sums.append(self.last_sum)
            if self._spacing > 1:   # the next beat waits for it
                self._start_sum()
        return there, adds, left

    def leave(self, cycle: int) -> None:
        """The beat that arrived last leaves the post unit."""
        if self._elastic:
            self._moved, self._held = cycle, False
        else:
            self._gone, self._first = cycle, None
