"""Cycle model: log of what the units do and wait for, kept for the event record only."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from kaniwa.isa import UNITS

__all__ = ["CAUSES", "CODE_BITS", "PACE", "STATES", "Log", "Repeat", "Spans", "Track"]

# Causes of the counters, and those of the other units: input not there, operand not there, no room
# behind, memory busy, units that have not taken the instruction.
CAUSES = ("load", "dependency", "weights", "requantize", "store", "fill",
          "input", "operand", "room", "memory", "queue")
STATES = {"": 0, **{cause: number for number, cause in enumerate(CAUSES, 1)}}
CODE_BITS: Final = 4    # of a state, below the instruction
BEFORE: Final = -1 << 60
PACE: Final = 1         # idle cycles between two words that are the unit's own pace


class Repeat(NamedTuple):
    """The spans from number ``first`` up to before ``after`` come ``times`` more, each time
    ``period`` cycles later."""

    first: int
    after: int
    times: int
    period: int


class Spans(NamedTuple):
    """Spans in order: a unit is in ``state`` in the cycles ``first`` up to before ``after``."""

    first: np.ndarray
    after: np.ndarray
    instruction: np.ndarray
    state: np.ndarray
    repeats: list[Repeat]


class _Part(NamedTuple):
    """A part of a run, which begins in cycle ``begin`` with ``instruction``.

    ``cuts``: since when cycles are left out of the model's, and how many.
    """

    begin: int
    instruction: int
    cuts: Sequence[tuple[int, int]]

    def real(self, cycles: np.ndarray, cuts_told: np.ndarray) -> np.ndarray:
        """The run's cycles for the model's, told with so many of the cuts made."""
        before = np.searchsorted(np.array([since for since, _ in self.cuts], np.int64), cycles)
        skipped = np.cumsum([0, *[skipped for _, skipped in self.cuts]])
        moved: np.ndarray = cycles + skipped[np.minimum(before, cuts_told)] + self.begin
        return moved


class Track:
    """Spans of one unit in the order of time, of which a later one has no cycles of an earlier.

    Told is, in the model's cycles, first, after and code (instruction of the part, state) of each.
    Work at the unit's own pace is one span, which ends where another kind begins, or who asks for
    the ``count`` has seen it.
    """

    def __init__(self) -> None:
        self._told = array("q")
        self._end = BEFORE                            # of all spans so far
        self._first, self._code = 0, -1               # of work that ends there and may go on
        # By how many spans were told: what repeats, once for each cut, of a period of some cycles.
        self._repeats: list[Repeat] = []
        self._parts: list[tuple[_Part, np.ndarray, list[Repeat]]] = []

    def wait(self, first: int, after: int, instruction: int, cause: str) -> None:
        """A wait of the part's instruction."""
        first = max(first, self._end)
        if after > first:
            self._end_work()
            self._told.extend((first, after, instruction << CODE_BITS | STATES[cause]))
            self._end = after

    def work(self, first: int, after: int, instruction: int) -> None:
        """Work of the part's instruction."""
        code, first = instruction << CODE_BITS, max(first, self._end)
        if after > first:
            if code != self._code or first > self._end + PACE:
                self._end_work()
                self._first, self._code = first, code
            self._end = after

    def _end_work(self) -> None:
        """The work so far is told, and does not go on."""
        if self._code >= 0:
            self._told.extend((self._first, self._end, self._code))
            self._code = -1

    def tell_all(self, told: np.ndarray) -> None:
        """Rows of first, after and state, of instruction 0."""
        self._end_work()
        self._told.frombytes(told.astype(np.int64).tobytes())

    def count(self) -> int:
        """How many spans have been told in this part."""
        self._end_work()
        return len(self._told) // 3

    def repeat(self, first: int, times: int, period: int) -> None:
        """The spans from number ``first`` on come so many times more."""
        self._repeats.append(Repeat(first, self.count(), times, period))

    def again(self, first: int, times: int, period: int) -> None:
        """Tell the spans from number ``first`` on so many times more, each time later."""
        part = np.array(self._told[3 * first:self.count() * 3], np.int64).reshape(-1, 3)
        if len(part):
            later = np.outer(np.arange(1, times + 1), np.array([period, period, 0]))
            told = (part[None] + later[:, None]).reshape(-1, 3)
            self._told.frombytes(told.tobytes())
            self._end = int(told[-1, 1])

    def ended(self) -> int:
        """The end of all spans so far."""
        return self._end

    def close(self, part: _Part) -> None:
        """What has been told since is of the part."""
        if self.count():
            told = np.frombuffer(self._told, np.int64).reshape(-1, 3)
            self._parts.append((part, told, self._repeats))
        self._told, self._end = array("q"), BEFORE
        self._repeats = []

    def spans(self) -> Spans:
        """What has been told in the closed parts, in the run's cycles."""
        end, count = 0, 0
        columns: list[np.ndarray] = [np.zeros((0, 4), np.int64)]
        repeats = []
        for part, told, own in self._parts:
            places = np.array([repeat.after for repeat in own], np.int64)
            made = np.searchsorted(places, np.arange(len(told)), "right")
            first, after = (part.real(told[:, column], made) for column in (0, 1))
            kept, begin = np.zeros(len(told), bool), 0
            for repeat in (*own, None):
                stop = repeat.after if repeat else len(told)
                ends = np.maximum.accumulate(np.append(end, after[begin:stop]))
                first[begin:stop] = np.maximum(first[begin:stop], ends[:-1])
                kept[begin:stop] = after[begin:stop] > first[begin:stop]
                begin, end = stop, int(ends[-1])
                if repeat and kept[repeat.first:stop].any():
                    end += repeat.times * repeat.period
            number = count + np.concatenate(([0], np.cumsum(kept)))
            repeats += [repeat._replace(first=int(number[repeat.first]),
                                        after=int(number[repeat.after]))
                        for repeat in own if number[repeat.after] > number[repeat.first]]
            columns.append(np.stack((
                first, after, (told[:, 2] >> CODE_BITS) + part.instruction,
                told[:, 2] & (1 << CODE_BITS) - 1), axis=1)[kept])
            count = int(number[-1])
        found = np.concatenate(columns)
        return Spans(found[:, 0], found[:, 1], found[:, 2], found[:, 3], repeats)


class Log:
    """Spans of all units of a run, the array's as ``lost``: its cycles without a step.

    ``retired``: when each instruction had retired. All as the counters count, which see a cycle of
    the array one later.
    """

    def __init__(self) -> None:
        self.tracks = {unit: Track() for unit in ("commands", *UNITS)}
        self.lost = Track()
        self.retired: list[int] = []
        self._part = _Part(0, 0, ())

    def part(self, begin: int, instruction: int) -> None:
        """What follows is told from cycle ``begin`` and from ``instruction`` on."""
        self.close()
        self._part = _Part(begin, instruction, ())

    def tell(self, cuts: Sequence[tuple[int, int]]) -> None:
        """The part's units tell the model's cycles, of which ``cuts`` will be left out."""
        self._part = self._part._replace(cuts=cuts)

    def close(self) -> None:
        """All of the part has been told."""
        for track in self.tracks.values():
            track.close(self._part)
        self.lost.close(self._part._replace(cuts=()))

    def lose(self, cause: str, first: int, after: int) -> None:
        """The array has no step in its cycles from ``first`` up to before ``after``."""
        self.lost.wait(first + 1, after + 1, 0, cause)

    def lose_all(self, parts: np.ndarray) -> None:
        """The same for rows of first, after and state."""
        shown = parts[parts[:, 1] > parts[:, 0]] + np.array([1, 1, 0])
        self.lost.tell_all(shown)

    def retire(self, cycle: int) -> None:
        """The next instruction has retired."""
        self.retired.append(self._part.begin + cycle)

    def unit(self, name: str, first: int, after: int) -> None:
        """A unit beside the array does the part's first instruction."""
        self.tracks.setdefault(name, Track()).work(first, after, 0)
        self.lost.wait(-self._part.begin, after, 0, "fill")
        self.retire(after)
