"""Cycle model of the compact core's two units that read through the channel: input rows, weights.

``ask``: the cycle in which a unit's next read is there to be chosen, NEVER if there is none.
``waits``: the unit waits for something that the array has not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.look import Look
from kaniwa.cycles.readers.streams import BlockShape
from kaniwa.isa.formats import Buffer
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["AGAIN", "CompactLoad", "CompactWeights", "moved"]

AGAIN: Final = 1     # from a response to the next read of the same unit; another's may come with it
HEADER: Final = 8    # cycles of a block's header in the decoder
OTHER: Final = 0     # what a read of the weights brings: a header or bytes,
PART: Final = 1      # a part of a ring word,
WORD: Final = 2      # or its last one


class CompactLoad:
    """Input rows. The array tells ``freed``: cycles, and bytes of the line buffer that it is past.

    ``ready``: for each row the first cycle of a step that may use it.
    """

    def __init__(self, config: AcceleratorConfig, v: Values, begin: int) -> None:
        self.ready: list[int] = []
        self.freed: list[tuple[int, int]] = []
        self.ask, self.waits = NEVER, False
        self.place = 0       # address of the next read
        self.row = 0
        self.ended = -1      # when all is read; -1 before
        self._v, self._width, self._line_bytes = v, config.read_bytes, config.line_bytes
        self._room, self._events = config.line_bytes, 0
        self._left = 0       # reads of the row
        self._time = begin
        self.go_on()

    def go_on(self) -> None:
        """Begin a row, once there is room for it."""
        v = self._v
        if self.row == v["ifm_rows"]:
            self.ask, self.ended = NEVER, self._time
            return
        self.waits = (self.row + 1) * v["line_pitch"] > self._room
        while self.waits and self._events < len(self.freed):
            cycle, freed = self.freed[self._events]
            self._room, self._events = self._line_bytes + freed, self._events + 1
            self._time = max(self._time, cycle)
            self.waits = (self.row + 1) * v["line_pitch"] > self._room
        if self.waits:
            self.ask = NEVER
            return
        first = self._first()
        self.place = first - first % self._width
        self._left = (first + v["ifm_row_bytes"] - 1) // self._width + 1 - first // self._width
        self.ask = self._time

    def answer(self, response: int) -> None:
        """The word of the read comes."""
        self._time = self.ask = response + AGAIN
        self.place += self._width
        self._left -= 1
        if not self._left:
            self.ready.append(self._time)
            self.row += 1
            self.go_on()

    def state(self, look: Look, top: int) -> Any:
        """How it goes on, with rows from ``top`` on, the first one that the array will ask for."""
        if self.ended >= 0:    # while a row is still to come, like at no other time
            return look.at(self.ended), look.now if self.ready[-1] > look.now else -1
        held = self.row * self._v["line_pitch"]
        return (self.row - top, min(top, 0), self._left, self._first() % self._width, self.waits,
                self.ask if self.waits else self.ask - look.now, look.at(self._time),
                self._room - held,
                [(look.at(cycle), freed - held) for cycle, freed in self.freed[self._events:]],
                look.all(self.ready[max(top, 0):]))

    def move(self, cycles: int, rows: int) -> None:
        """Go on so many cycles later, and ``rows`` further."""
        v = self._v
        self._time += cycles
        if self.ended >= 0:
            self.ended += cycles
            return
        self.ask = moved(self.ask, cycles)
        self.row += rows
        self.place += rows * v["ifm_pitch"]
        self._room += rows * v["line_pitch"]
        self.freed[self._events:] = [(cycle + cycles, freed + rows * v["line_pitch"])
                                     for cycle, freed in self.freed[self._events:]]
        self.ready[:] = [0] * rows + [cycle + cycles for cycle in self.ready]

    def _first(self) -> int:
        return self._v["ifm_address"] + self.row * self._v["ifm_pitch"]


class CompactWeights:
    """Parameters and weights. The array tells ``used``: cycles from which on there is room for one
    more ring word, of weights that stream.

    ``ready``: for each ring word the first cycle of a step that may use it. ``number``: of passes
    over a stream before this one.
    """

    def __init__(self, config: AcceleratorConfig, v: Values,
                 regions: tuple[Sequence[BlockShape], Sequence[BlockShape]], begin: int) -> None:
        self.ready: list[int] = []
        self.used: list[int] = []
        self.ask, self.waits = NEVER, False
        self.place = 0       # address of the next read
        self.number = 0
        self.passes = 1 + v["weight_repeat"]
        self.ended = -1      # when all is read; -1 before
        self._width, self._ring_words = config.read_bytes, config.ring_words
        self._streams = bool(v["weights_stream"])
        parameters, weights = (_reads(shapes, config.read_bytes) for shapes in regions)
        self._parts = ((v["parameter_address"], parameters), (v["weight_address"], weights))
        self.place, self._reads = self._parts[0]
        self._index = 0      # of the read in this pass
        self._next = 0       # when the next byte is looked at
        self._go_on_at(begin)

    def go_on(self) -> None:
        """Take what the last read brought, once there is room for it."""
        kind, to_ask, to_next = self._reads[self._index]
        number = len(self.ready) - self._ring_words
        if kind and self._streams and number >= 0:
            self.waits = number >= len(self.used)
            if self.waits:
                self.ask = NEVER
                return
            self._next = max(self._next, self.used[number])
        asks = self._next + to_ask
        self._next += to_next
        if kind == WORD:
            self.ready.append(self._next)
        self._index += 1
        self._go_on_at(asks)

    def answer(self, response: int) -> None:
        """The word of the read comes."""
        self._next = max(self._next, response + AGAIN)
        self.place += self._width
        self.go_on()

    def _go_on_at(self, cycle: int) -> None:
        """The next read, of the next pass behind the last one."""
        while self._index == len(self._reads):
            cycle += 1
            self.number += 1
            if self.number == self.passes:
                self.ask, self.ended = NEVER, cycle
                return
            self._index = 0
            self.place, self._reads = self._parts[1]
        self.ask = cycle

    def state(self, look: Look, word: int) -> Any:
        """How it goes on; ``word``: the ring word that the array takes next."""
        ahead = look.all(self.ready[word:])
        if self.ended >= 0:
            return look.at(self.ended), ahead
        number = len(self.ready) - self._ring_words
        return (not self.number, self._index, self.waits,
                self.ask if self.waits else self.ask - look.now, look.at(self._next),
                len(self.ready) - word, ahead,
                len(self.used) - number, look.all(self.used[max(number, 0):]))

    def move(self, cycles: int, passes: int, word: int) -> None:
        """Go on so many cycles later, and passes further. Ring words keep their numbers."""
        self.ready[word:] = [cycle + cycles for cycle in self.ready[word:]]
        if self.ended >= 0:
            self.ended += cycles
            return
        self.ask = moved(self.ask, cycles)
        self._next += cycles
        self.number += passes
        number = max(len(self.ready) - self._ring_words, 0)
        self.used[number:] = [cycle + cycles for cycle in self.used[number:]]


def moved(time: int, cycles: int) -> int:
    """The time so many cycles later."""
    return time if time >= NEVER else time + cycles


def _reads(shapes: Sequence[BlockShape], width: int) -> list[tuple[int, int, int]]:
    """What each read of a stream brings, and cycles from then on: until the next read is there to
    be chosen, and until the next byte is looked at."""
    reads = []
    for shape in shapes:
        reads.append((OTHER, HEADER, HEADER + 1))
        if shape.kind == Buffer.WEIGHTS:
            word = [(PART, 1, 1)] * (shape.per_word - 1) + [(WORD, 1, 1)]
            reads += word * (shape.items // shape.per_word)
        else:
            _add_bytes(reads, shape, width)
    return reads


def _add_bytes(reads: list[tuple[int, int, int]], shape: BlockShape, width: int) -> None:
    """A block that is taken byte by byte, and one cycle an item."""
    place = 0
    for item in range(shape.items):
        for _ in range(shape.steps[item % len(shape.steps)]):
            if not place:
                reads.append((OTHER, 0, 0))
            after = reads[-1][2] + 1
            reads[-1] = (OTHER, after, after)
            place = (place + 1) % width
        kind, asks, after = reads[-1]
        reads[-1] = (kind, asks, after + 1)
    if place:    # the rest of the word is skipped
        reads[-1] = (OTHER, reads[-1][2], reads[-1][2])
