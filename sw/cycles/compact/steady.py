"""Cycle model of the compact core: finds a layer's steady state and steps over it.

At the end of an output pixel, and of an output row, the state of all units is compared with those
at the ends before: times from now on, places from the current row on. Where it is the same,
everything repeats for as long as no unit comes to its end. What is left out is added to the units'
times. docs/decisions/0027-steady-state.md says why that is exact.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from kaniwa.cycles.compact.memory import CompactMemories
from kaniwa.cycles.compact.post import CompactPost
from kaniwa.cycles.compact.reads import CompactReads
from kaniwa.cycles.log import Log
from kaniwa.cycles.look import Look
from kaniwa.program.instruction import Values

__all__ = ["Array", "CompactSteady"]

PERIOD: Final = 4     # pixels or rows at most


@dataclass
class Array:
    """The array: the ``cycle`` of its next step, and the one from when on its accumulators are
    those of the next block. ``told``: the log knows all before.

    ``block``: its last one, ``word``: the ring word that it takes next. What is left out has no
    numbers of either.
    """

    cycle: int
    clear: int
    told: int
    block: int
    word: int
    counts: dict[str, int]


@dataclass(frozen=True)
class _Moment:
    """The end of a pixel or row: ``state`` is compared, the rest advances from period to period.

    ``number``: of the pixel or row; ``spans``: told to the log so far, of each of its tracks.
    """

    number: int
    state: tuple[Any, ...]
    cycle: int
    row: int                # of the load unit
    passes: int             # over the weights
    served: tuple[int, int]     # operands read and results stored
    counts: dict[str, int]
    spans: list[int]


class CompactSteady:
    """Watches the pixels and rows of an instruction, and says how many to leave out."""

    def __init__(self, v: Values, memories: CompactMemories, reads: CompactReads,
                 post: CompactPost, log: Log | None) -> None:
        self._v, self._memories, self._reads, self._post = v, memories, reads, post
        self._pixels: deque[_Moment] = deque(maxlen=PERIOD)
        self._rows: deque[_Moment] = deque(maxlen=PERIOD)
        self._accesses = memories.accesses
        self._tracks = [*log.tracks.values(), log.lost] if log else []

    def pixels(self, array: Array, y: int, x: int) -> int:
        """How many pixels of row ``y`` to leave out behind pixel ``x``."""
        if x == 0:
            self._pixels.clear()
        if self._v["ofm_columns"] - 1 - x < 1:
            return 0
        return self._left_out(array, self._pixels, y, x)

    def rows(self, array: Array, y: int) -> int:
        """How many rows to leave out behind row ``y``."""
        if self._v["ofm_rows"] - 1 - y < 1:
            return 0
        return self._left_out(array, self._rows, y + 1, -1)

    def _left_out(self, array: Array, seen: deque[_Moment], y: int, x: int) -> int:
        """Compare with moments that were ``seen``; ``y``, ``x``: the next row, this pixel or -1."""
        self._reads.settle(array.cycle)
        accesses, self._accesses = self._accesses, self._memories.accesses
        if self._accesses != accesses:    # since the last moment of either kind
            self._pixels.clear()
            self._rows.clear()
        now = self._look(array, y, y - 1 if x < 0 else x)
        before = next((moment for moment in seen if moment.state == now.state), None)
        seen.appendleft(now)
        times = self._times(before, now, y if x < 0 else 0) if before else 0
        if not before or times < 1:
            return 0
        self._leave_out(array, before, now, times)
        seen.clear()
        return times * (now.number - before.number)

    def _look(self, array: Array, y: int, number: int) -> _Moment:
        look = Look(array.cycle)
        top = y * self._v["stride_rows"] - self._v["pad_top"]
        spans = [track.count() for track in self._tracks]
        state = (look.at(array.clear), array.told - look.now if self._tracks else 0,
                 self._post.state(look, array.block), look.at(self._memories.free),
                 self._reads.state(look, top, array.word),
                 look.all([track.ended() for track in self._tracks]))
        return _Moment(number, state, look.now, self._reads.load.row, self._reads.weights.number,
                       (self._post.read, self._post.stored), dict(array.counts), spans)

    def _times(self, before: _Moment, now: _Moment, y: int) -> int:
        """How often the period between the two comes again before anything is different.

        ``y``: the next row, 0 for pixels of a row.
        """
        v, load, weights = self._v, self._reads.load, self._reads.weights
        period = now.number - before.number
        limits = [(v["ofm_rows"] - y if y else v["ofm_columns"] - 1 - now.number) // period]
        if y and load.ended < 0:
            bottom = (y - 1) * v["stride_rows"] - v["pad_top"] + (
                v["kernel_rows"] - 1) * v["dilation_rows"]
            limits.append((v["ifm_rows"] - 1 - bottom) // (period * v["stride_rows"]))
        if now.row > before.row:
            limits.append((v["ifm_rows"] - 1 - now.row) // (now.row - before.row))
        if now.passes > before.passes:
            limits.append((weights.passes - 1 - now.passes) // (now.passes - before.passes))
        return min(limits)

    def _leave_out(self, array: Array, before: _Moment, now: _Moment, times: int) -> None:
        """Go on as if the period between the two had come so many times more."""
        period = now.cycle - before.cycle
        cycles = times * period
        for track, first in zip(self._tracks, before.spans, strict=True):
            track.again(first, times, period)
        self._reads.load.move(cycles, times * (now.row - before.row))
        self._reads.weights.move(cycles, times * (now.passes - before.passes), array.word)
        self._reads.move(cycles)
        self._memories.free += cycles
        self._post.move(cycles, array.block)
        self._post.read += times * (now.served[0] - before.served[0])
        self._post.stored += times * (now.served[1] - before.served[1])
        array.cycle += cycles
        array.clear += cycles
        array.told += cycles
        for name, count in before.counts.items():
            array.counts[name] += times * (now.counts[name] - count)
