"""Cycle model: finds a layer's steady state and steps over it.

At the end of an output row the state of all units is compared with those at the ends of rows
before: times from now on, places from the current row on. Where it is the same, everything repeats
for as long as no unit comes to a last row. Those rows are left out, and what is told from then on
is so much later. docs/decisions/0027-steady-state.md says why that is exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kaniwa.cycles.events import Events
from kaniwa.cycles.gather import Gather, InputRows
from kaniwa.cycles.look import LONG_AGO, Look
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.readers.commands import Commands
from kaniwa.cycles.readers.load import Load
from kaniwa.cycles.readers.operand import OperandPath
from kaniwa.cycles.readers.weights import WeightPath
from kaniwa.cycles.results import Results
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["Steady"]

PERIOD: Final = 4       # rows at most
AHEAD: Final = 8        # rows for which the load unit has room or watermarks, or the array input


@dataclass(frozen=True)
class _Moment:
    """The end of a row: what advances from period to period.

    ``spare``: what there is more than the rows to come take, of words of input for the array, and
    of bytes for the load unit: of room, and of what the producer has written. None where the state
    says exactly how much there is, or that there is enough of it for ever.
    """

    cycle: int
    row: int
    load_row: int
    position: int            # of the load unit in the line buffer
    words: int               # loaded
    freed: int               # position in the line buffer up to which rows are free
    spare: tuple[int | None, ...]
    logged: tuple[int, ...]
    told: tuple[int, ...]    # by each unit to the log
    state: Any
    past: list[int]          # times to be told that are long ago

    def again(self, before: _Moment) -> bool:
        """True where all is as it was ``before``: what is to be told has moved on, or stayed."""
        period = self.cycle - before.cycle
        return self.state == before.state and len(self.past) == len(
            before.past) and all(
            time == earlier or time - period == earlier > before.cycle - period
            for earlier, time in zip(before.past, self.past, strict=True))


class Steady:
    """Watches the rows of the instructions, and says which to leave out."""

    def __init__(self, instructions: Sequence[Values], events: Events, memory: MemoryTimeline,
                 paths: tuple[Commands, OperandPath, Load, WeightPath], results: Results,
                 line_bytes: int) -> None:
        self._instructions, self._events, self._memory = instructions, events, memory
        self._commands, self._operand, self._load, self._weights = paths
        self._results, self._line_bytes = results, line_bytes
        self._index = -1
        self._seen: deque[_Moment] = deque(maxlen=PERIOD)
        self._progress: tuple[int, ...] = ()
        self.gather: Gather
        self.logs: list[list[Any]] = []
        self._tracks = list(events.log.tracks.values()) if events.log else []

    def rows(self, index: int, y: int, cycle: int, rows: InputRows, own: tuple[Any, ...]) -> int:
        """How many output rows to leave out behind row ``y``.

        The array's next step is in ``cycle`` or later; ``own``: its times, and where it is.
        """
        v = self._instructions[index]
        if index != self._index:
            self._index = index
            self._seen.clear()
        if (y + 1) * v["stride_rows"] < v["pad_top"] or _last_row(v) - y < 3:
            return 0
        if self._weights.progress == self._progress:
            self._memory.settle(cycle)
        if self._weights.progress != self._progress:
            self._progress = self._weights.progress
            self._seen.clear()
            return 0
        moment = self._look(index, y, Look(cycle), rows, own)
        if moment is None:
            return 0
        before = next((seen for seen in self._seen if moment.again(seen)), None)
        self._seen.appendleft(moment)
        times = before and self._times(before, moment)
        if not before or not times:
            return 0
        self._leave_out(before, moment, times)
        self._seen.clear()
        return times * (moment.row - before.row)

    def _look(self, index: int, y: int, look: Look, rows: InputRows,
              own: tuple[Any, ...]) -> _Moment | None:
        """How things are at the end of row ``y``; None where they are not comparable."""
        events, load, v = self._events, self._load, self._instructions[index]
        row = y + 1 - events.shifts[index]
        results = self._results.state(look, index, row)
        operand = self._operand.state(look, index, row)
        if results is None or operand is None:
            return None
        top = (y + 1) * v["stride_rows"] - v["pad_top"]
        supply, supplied = self._supply(v, y, look, rows)
        room, rooms = self._room(look)
        marks, marked = self._marks(index, y, look)
        if marks == ():
            return None
        spans = self.gather.state(look, y + 1, own[2])
        state = (
            look.all(own[0]), own[1], results, operand, supplied, rooms, marked, spans,
            load.state(look), self._commands.state(look), self._weights.state(look),
            self._memory.state(look), rows.shift(top),
            [(len(times), look.recent(times)) for times in (
                *events.offered.values(), *events.open.values(), events.retired,
                events.post_done)])
        return _Moment(look.now, y, load.row, load.position, load.number,
                       events.frees[-1][1] if events.frees else 0, (supply, room, marks),
                       tuple(map(len, self.logs)), tuple(track.count() for track in self._tracks),
                       state, look.past)

    def _supply(self, v: Values, y: int, look: Look,
                rows: InputRows) -> tuple[int | None, Any]:
        """Words that came long ago beside those that the next rows need, and what else matters."""
        ready = self._events.load_ready
        old = bisect_right(ready, look.now - LONG_AGO)
        if old >= rows.end:
            return None, ()
        last = min(v["ifm_rows"], _bottom(v, y + 1 + PERIOD) + 1) - 1
        spare = old - 1 - rows.word(last, v["ifm_row_bytes"])
        if spare >= 0:
            return spare, ()
        return None, len(ready) - rows.word(last, v["ifm_row_bytes"])

    def _room(self, look: Look) -> tuple[int | None, Any]:
        """Bytes that are free beside those for the load unit's next rows, and what else matters."""
        load, frees = self._load, self._events.frees
        recent: list[Any] = []
        for cycle, position in reversed(frees):
            if look.old(cycle):
                break
            recent.append((cycle - look.now, position - frees[-1][1]))
        index = load.index
        if index is None:
            return None, recent
        place = len(frees) - 1 - len(recent)
        old = max(load.freed, frees[place][1] if place >= 0 else 0)
        pitch = self._instructions[index]["line_pitch"]
        spare = old + self._line_bytes - load.position - AHEAD * pitch
        if spare >= 0:
            return spare, recent
        return None, (load.freed - load.position,
                      [(look.at(cycle), position - load.position)
                       for cycle, position in frees[load.next_free:]])

    def _marks(self, index: int, y: int, look: Look) -> tuple[Any, Any]:
        """Bytes that the producer of the load unit's input wrote long ago beside those of the next
        rows, and what else matters; () for what cannot be compared.
        """
        load, events = self._load, self._events
        if load.index is None:
            return None, "none"
        v = self._instructions[load.index]
        waiting, retired = v["ifm_wait"] - 1, events.retired
        if waiting < 0 or (waiting < len(retired) and look.old(retired[waiting])):
            return None, "all"
        if waiting != index or not v["ifm_watermark"]:
            return None, (load.known, load.mark, load.row_address)
        own = self._instructions[index]
        times, addresses = events.watermarks[index]
        pending = [(look.at(cycle), address - load.row_address) for cycle, address in zip(
            times[load.mark:], addresses[load.mark:], strict=True)]
        reached = own["ofm_address"] + (y + 1) * own["ofm_row_pitch"]
        return None, (load.known - load.row_address, pending, reached - load.row_address)

    def _times(self, before: _Moment, now: _Moment) -> int:
        """How often the period between the two comes again before anything is different."""
        index, v, load = self._index, self._instructions[self._index], self._load
        period = now.row - before.row
        limits = [(_last_row(v) - now.row) // period]
        row, loaded = self._operand.row(index), now.load_row - before.load_row
        if v["add"] and row is not None:
            limits.append((self._events.rows[index] - 2 - row) // period)
        if v["patch"]:
            limits.append((_last_row(v) + 1 - self.gather.row) // period)
        if loaded:
            assert load.index is not None
            limits.append((self._instructions[load.index]["ifm_rows"] - 2 - load.row) // loaded)
        if loaded >= AHEAD:
            return 0
        for earlier, later in zip(before.spare, now.spare, strict=True):
            if earlier is not None and later is not None and later < earlier:
                limits.append(later // (earlier - later))
        return max(0, min(limits))

    def _leave_out(self, before: _Moment, now: _Moment, times: int) -> None:
        """Go on as if the period between the two had come so many times more."""
        index, events, load = self._index, self._events, self._load
        rows, cycles = times * (now.row - before.row), now.cycle - before.cycle
        for log, first in zip(self.logs, before.logged, strict=True):
            part = log[first:]
            for later in range(cycles, times * cycles + 1, cycles):
                log += [(a + later, b + later, *rest) for a, b, *rest in part]
        for track, first in zip(self._tracks, before.told, strict=True):
            track.repeat(first, times, cycles)
        events.news = True
        events.rows[index] -= rows
        events.shifts[index] += rows
        events.skipped += times * cycles
        events.cuts.append((min(before.cycle, now.cycle - LONG_AGO), times * cycles))
        if self._instructions[index]["patch"]:
            self.gather.row += rows
        freed = times * (now.freed - before.freed)
        if load.index is not None and now.load_row != before.load_row:
            v = self._instructions[load.index]
            loaded = times * (now.load_row - before.load_row)
            if load.known < NEVER and v["ifm_wait"] - 1 == index:
                self._move_marks(index, loaded * v["ifm_pitch"])
            load.leave_out(loaded, times * (now.words - before.words), v)
            if now.spare[1] is None:
                freed = loaded * v["line_pitch"]
        load.freed += freed
        frees = events.frees
        frees[load.next_free:] = [(cycle, position + freed)
                                  for cycle, position in frees[load.next_free:]]

    def _move_marks(self, index: int, moved: int) -> None:
        """Watermarks that the load unit has not taken are so many bytes further."""
        load, addresses = self._load, self._events.watermarks[index][1]
        load.known += moved
        addresses[load.mark:] = [address + moved for address in addresses[load.mark:]]


def _bottom(v: Values, y: int) -> int:
    """The lowest input row that output row ``y`` reads, were there enough of them."""
    return y * v["stride_rows"] + (v["kernel_rows"] - 1) * v["dilation_rows"] - v["pad_top"]


def _last_row(v: Values) -> int:
    """The last output row, but for the last two, that reads nothing below the input."""
    inner = (v["ifm_rows"] - 1 - _bottom(v, 0)) // v["stride_rows"]
    return min(inner, v["ofm_rows"] - 3)
