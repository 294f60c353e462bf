"""Cycle model: the store unit, which makes words of beats and writes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events
from kaniwa.cycles.look import Locals, Look, values_of
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.pipeline import PostPipeline
from kaniwa.cycles.readers.operand import row_beats
from kaniwa.isa import OUTSIDE
from kaniwa.program.instruction import Values

__all__ = ["Store"]

FILL = Locals(("cycle", "there", "left"), ("index", "adds"),
              ("self", "events", "pipeline", "v", "of_row", "arrival"), ("there",))
STORE = Locals(("cycle",), ("index", "begun", "_place", "count"),
               ("self", "offered", "v", "beats", "row", "row_address", "offset"))
COMBINE = Locals(("cycle",), ("count", "ascending", "row_first", "last", "crosses", "leaves"),
                 ("self", "width", "held", "address", "word", "end", "limit"))


_Word = tuple[int, int, bool, bool]


class Store:
    """Takes the beats that arrive at the end of ``pipeline``, through a buffer of two.

    ``marks``: for each beat that has started whether no byte below its end comes later, whether
    none below it does, and whether it is its instruction's last one. ``stored``: beats so far.
    ``held_back``: cycles in which the post unit waited for this one. ``writes``: when the last
    write of each instruction was taken.
    """

    def __init__(self, config: AcceleratorConfig, instructions: Sequence[Values], events: Events,
                 memory: MemoryTimeline, pipeline: PostPipeline) -> None:
        self._config, self._instructions = config, instructions
        self._events, self._memory, self._pipeline = events, memory, pipeline
        self.marks: deque[tuple[bool, bool, bool]] = deque()
        self.stored = 0
        self.held_back: list[tuple[int, int]] = []
        self.writes: list[int] = []
        self._beat: tuple[int, int, int] | None = None   # cycle, address, bytes
        self._consumed = 0               # when the last beat became part of a word
        self.taken = 0                   # words that memory has taken
        self._free = 0                   # when the output register last gave a word to memory
        # Of its word: address, what is reached with it, whether it is reached, and the last one.
        self._output: _Word | None = None
        self._asked = 0                  # when it came before memory
        # A word that is complete goes there as soon as it is free.
        self._complete: _Word | None = None
        self._direct = memory.direct
        self._completed = 0
        self._left = -1                  # when the last one did
        self._buffer: deque[int] = deque()   # when its beats got there
        self._room = deque([-1, -1])         # when the beats left after which there is room again
        self._full = False                   # whether a beat waits for that
        self._buffering = self._fill()
        self._combining = self._combine()
        self._storing = self._store()

    def state(self, look: Look, index: int, row: int) -> tuple[Any, ...] | None:
        """What comes next hangs on, at the output row ``row``; None if not at the instruction."""
        filling = values_of(self._buffering)
        storing = values_of(self._storing)
        if not filling["index"] == storing["index"] == len(self.writes) == index:
            return None
        width = self._config.write_bytes
        first = storing["row_address"]
        combining = values_of(self._combining)
        places = [None if place is None else place - first // width
                  for place in map(combining.get, ("held", "word"))]
        look.tell(self._asked)
        return (
            look.frame(self._buffering, FILL), self.filled - row * filling["of_row"],
            look.frame(self._storing, STORE), storing["row"] - row, first % width,
            look.frame(self._combining, COMBINE), places, combining.get("address", first) - first,
            tuple(self.marks), self._beat and (look.at(self._beat[0]), self._beat[1] - first),
            [word and (word[0] - first, word[1] - first, *word[2:])
             for word in (self._output, self._complete)],
            look.all((self._consumed, self._free, self._completed, self._left, self._asked)),
            look.all(self._buffer), look.all(self._room))

    def poke(self) -> None:
        """Take what beats there are."""
        while True:
            next(self._buffering)
            before = self.stored
            next(self._storing)
            if self.stored == before or not self._full:
                break

    def _fill(self) -> Generator[None]:
        """Beats from the post unit into the buffer, as far as there is room."""
        events, pipeline = self._events, self._pipeline
        for index, v in enumerate(self._instructions):
            cycle = -1
            of_row = len(row_beats(self._config, v, "ofm"))
            self.filled = 0
            while self.filled < events.rows[index] * of_row:
                adds = True
                while adds:
                    while (arrival := pipeline.arrive()) is None:
                        yield
                    there, adds, left = arrival
                    if adds:
                        events.operand_used.append(left)
                        events.news = True
                while not self._room:
                    self._full = True
                    pipeline.settle()
                    yield
                self._full = False
                cycle = self._room.popleft() + 1
                if cycle > there:
                    self.held_back.append((events.real(there), events.real(cycle)))
                else:
                    cycle = there
                pipeline.leave(cycle)
                self._buffer.append(cycle)
                self.filled += 1
            events.post_done.append(cycle + 1)
            events.news = True
        while True:
            yield

    def _store(self) -> Generator[None]:
        """Beats into the store unit, as far as it has taken the one before."""
        offered = self._events.offered["store"]
        cycle = -1
        for index, v in enumerate(self._instructions):
            self._events.opens("store", cycle + 1)
            begun = False
            beats, row = row_beats(self._config, v, "ofm"), 0
            while row < self._events.rows[index]:
                row_address = v["ofm_address"] + row * v["ofm_row_pitch"]
                for _place, (offset, count) in enumerate(beats):
                    while not self._buffer:
                        next(self._combining)
                        yield
                    while not begun:
                        if len(offered) > index:
                            cycle = max(cycle + 1, offered[index]) + 1
                            begun = True
                        else:
                            next(self._combining)
                            yield
                    while self._beat is not None:
                        next(self._combining)
                        if self._beat is not None:
                            yield
                    cycle = max(self._buffer.popleft() + 1, cycle + 1, self._consumed)
                    self._room.append(cycle)
                    self._beat = cycle, row_address + offset, count
                    self.stored += 1
                row += 1
        while True:
            next(self._combining)
            yield

    def _combine(self) -> Generator[None]:
        """A beat into the word held, and out with what is complete."""
        width = self._config.write_bytes
        held: int | None = None      # word that more bytes may come for
        while True:
            while self._beat is None:
                yield
            cycle, address, count = self._beat
            ascending, row_first, last = self.marks.popleft()
            cycle += 1
            word = address // width
            end, limit = address + count, (word + 1) * width
            while self._complete is not None:
                yield
            leaves = cycle <= self._left
            if leaves or (held is not None and held != word):
                if leaves:
                    cycle = self._left
                else:
                    while self._output is not None:
                        yield
                    cycle = max(cycle, self._free)
                    assert held is not None
                    self._write(cycle, (held * width, address, ascending or row_first, False))
                held = None
                if end <= limit:
                    if end == limit or last:
                        self._finish(cycle, (word * width, limit, ascending, last))
                    else:
                        held = word
                    self._take(cycle)
                    continue
                cycle += 1
            if end >= limit or last:
                while self._output is not None:
                    yield
                cycle = max(cycle, self._free)
                crosses = end > limit
                self._write(cycle, (word * width, limit if ascending else address,
                                    ascending or row_first, last and not crosses))
                held = word + 1 if crosses else None
                if crosses and last:
                    self._finish(cycle, (limit, end, ascending, True))
                    held = None
            else:
                held = word
            self._take(cycle)

    def _take(self, cycle: int) -> None:
        self._consumed = cycle
        self._beat = None

    def _finish(self, cycle: int, word: _Word) -> None:
        """The word held since ``cycle`` is complete."""
        self._complete, self._completed = word, cycle
        if self._output is None:
            self._flush()

    def _flush(self) -> None:
        assert self._complete is not None
        word, self._complete = self._complete, None
        self._left = max(self._completed + 1, self._free)
        self._write(self._left, word)

    def _write(self, cycle: int, word: _Word) -> None:
        """A word goes into the output register."""
        self._output, self._asked = word, cycle + 1
        index = len(self.writes)
        v = self._instructions[index]
        if self._direct[v["ofm_address"] >= OUTSIDE]:
            self._taken(cycle + 1)
        else:
            self._memory.write(word[0] + self._events.shifts[index] * v["ofm_row_pitch"], cycle + 1,
                               self._taken)

    def _taken(self, cycle: int) -> None:
        """Memory takes the word in the output register."""
        assert self._output is not None
        (_, reached, reaches, last), self._output = self._output, None
        self._free = cycle
        self.taken += 1
        events, index = self._events, len(self.writes)
        events.news = True
        if events.log:
            track = events.log.tracks["store"]
            track.tell(events.begun("store", index) or 0, self._asked, index, "input")
            track.tell(self._asked, cycle, index, "memory")
            track.tell(cycle, cycle + 1, index)
        if last:
            events.retired.append(cycle + 1)
            self.writes.append(cycle + events.skipped)
        elif reaches and self._instructions[index]["store_in_order"]:
            times, addresses = events.watermarks[index]
            times.append(cycle + 1)
            events.written += 1
            v = self._instructions[index]
            addresses.append(reached + events.shifts[index] * v["ofm_row_pitch"])
        if self._complete is not None:
            self._flush()
