"""Cycle model: the store unit, which makes words of beats and writes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events
from kaniwa.cycles.look import Frame, Kinds, Look
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.pipeline import PostPipeline
from kaniwa.cycles.readers.operand import row_beats
from kaniwa.isa import OUTSIDE
from kaniwa.program.instruction import Values

__all__ = ["Store"]

FILL = Kinds(("cycle", "there", "left"), ("index", "adds"),
             ("self", "own", "events", "pipeline", "v", "of_row", "arrival"), ("there",))
STORE = Kinds(("cycle",), ("index", "begun", "place", "count"),
              ("self", "own", "offered", "v", "beats", "row", "row_address", "offset"))
COMBINE = Kinds(("cycle",), ("count", "held_bytes", "ascending", "row_first", "last", "crosses",
                             "leaves"),
                ("self", "own", "width", "held", "address", "word", "end", "limit"))

NO_BEAT: Final = 1      # where each of the three waits for the next beat

_Word = tuple[int, int, bool, bool, bool]


class _Fill(Frame):
    """A beat that came ``there``, and ``left`` the requantizer; ``adds``: it is an operand."""

    def __init__(self) -> None:
        super().__init__()
        self.cycle = self.there = self.left = self.index = self.of_row = 0
        self.adds = False


class _Store(Frame):
    """The beat at ``place`` in its ``row``; ``begun``: the instruction is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.cycle = -1
        self.index = self.place = self.count = self.row = self.row_address = 0
        self.begun = False


class _Combine(Frame):
    """A beat of ``count`` bytes at ``address``, and what its mark says of it.

    ``held``: the word that more bytes may come for, besides its ``held_bytes``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cycle = self.count = self.address = self.word = self.held_bytes = 0
        self.ascending = self.row_first = self.last = self.crosses = self.leaves = False
        self.held: int | None = None


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
        # Of its word: address, what is reached with it, whether it is reached, and the last one,
        # and whether it leaves out no byte.
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
        self._filling, self._storing, self._combining = _Fill(), _Store(), _Combine()
        self._filler, self._storer = self._fill(), self._store()
        self._combiner = self._combine()

    def state(self, look: Look, index: int, row: int) -> tuple[Any, ...] | None:
        """What comes next hangs on, at the output row ``row``; None if not at the instruction."""
        filling, storing, combining = self._filling, self._storing, self._combining
        if not filling.index == storing.index == len(self.writes) == index:
            return None
        width, first = self._config.write_bytes, storing.row_address
        held = None if combining.held is None else combining.held - first // width
        look.tell(self._asked)
        return (
            look.frame(filling, FILL), self.filled - row * filling.of_row,
            look.frame(storing, STORE), storing.row - row, first % width,
            look.frame(combining, COMBINE), held, combining.word - first // width,
            combining.address - first,
            tuple(self.marks), self._beat and (look.at(self._beat[0]), self._beat[1] - first),
            [word and (word[0] - first, word[1] - first, *word[2:])
             for word in (self._output, self._complete)],
            look.all((self._consumed, self._free, self._completed, self._left, self._asked)),
            look.all(self._buffer), look.all(self._room))

    def poke(self) -> None:
        """Take what beats there are."""
        while True:
            if self._filling.at != NO_BEAT or not self._pipeline.empty:
                self._filler.send(None)
            before = self.stored
            if self._buffer or self._storing.at != NO_BEAT or self._combining.at != NO_BEAT:
                self._storer.send(None)
            if self.stored == before or not self._full:
                break

    def _fill(self) -> Generator[None]:
        """Beats from the post unit into the buffer, as far as there is room."""
        own, events, pipeline = self._filling, self._events, self._pipeline
        for own.index, v in enumerate(self._instructions):
            own.cycle = -1
            own.of_row = len(row_beats(self._config, v, "ofm"))
            self.filled = 0
            while self.filled < events.rows[own.index] * own.of_row:
                own.adds = True
                while own.adds:
                    while (arrival := pipeline.arrive()) is None:
                        own.at = 1
                        yield
                    own.there, own.adds, own.left = arrival
                    if own.adds:
                        events.operand_used.append(own.left)
                        events.news = True
                while not self._room:
                    self._full = True
                    pipeline.settle()
                    own.at = 2
                    yield
                self._full = False
                own.cycle = self._room.popleft() + 1
                if own.cycle > own.there:
                    self.held_back.append((events.real(own.there), events.real(own.cycle)))
                else:
                    own.cycle = own.there
                pipeline.leave(own.cycle)
                self._buffer.append(own.cycle)
                self.filled += 1
            events.post_done.append(own.cycle + 1)
            events.news = True
        while True:
            own.at = 3
            yield

    def _store(self) -> Generator[None]:
        """Beats into the store unit, as far as it has taken the one before."""
        own, offered = self._storing, self._events.offered["store"]
        for own.index, v in enumerate(self._instructions):
            self._events.opens("store", own.cycle + 1)
            own.begun = False
            beats, own.row = row_beats(self._config, v, "ofm"), 0
            while own.row < self._events.rows[own.index]:
                own.row_address = v["ofm_address"] + own.row * v["ofm_row_pitch"]
                for own.place, (offset, own.count) in enumerate(beats):
                    while not self._buffer:
                        self._combiner.send(None)
                        own.at = 1
                        yield
                    while not own.begun:
                        if len(offered) > own.index:
                            own.cycle = max(own.cycle + 1, offered[own.index]) + 1
                            own.begun = True
                        else:
                            self._combiner.send(None)
                            own.at = 2
                            yield
                    while self._holds_beat():
                        self._combiner.send(None)
                        if self._holds_beat():
                            own.at = 3
                            yield
                    own.cycle = max(max(self._buffer.popleft(), own.cycle) + 1, self._consumed)
                    self._room.append(own.cycle)
                    self._beat = own.cycle, own.row_address + offset, own.count
                    self.stored += 1
                own.row += 1
        while True:
            self._combiner.send(None)
            own.at = 4
            yield

    def _combine(self) -> Generator[None]:
        """A beat into the word held, and out with what is complete."""
        own, width = self._combining, self._config.write_bytes
        while True:
            while self._beat is None:
                own.at = 1
                yield
            own.cycle, own.address, own.count = self._beat
            own.ascending, own.row_first, own.last = self.marks.popleft()
            own.cycle += 1
            own.word = own.address // width
            end, limit = own.address + own.count, (own.word + 1) * width
            while self._complete is not None:
                own.at = 2
                yield
            own.leaves = own.cycle <= self._left
            if own.leaves or (own.held is not None and own.held != own.word):
                if own.leaves:
                    own.cycle = self._left
                else:
                    while self._output is not None:
                        own.at = 3
                        yield
                    own.cycle = max(own.cycle, self._free)
                    assert own.held is not None
                    self._write(own.cycle, (own.held * width, own.address,
                                            own.ascending or own.row_first, False,
                                            own.held_bytes == width))
                own.held, own.held_bytes = None, 0
                if end <= limit:
                    if end == limit or own.last:
                        self._finish(own.cycle, (own.word * width, limit, own.ascending, own.last,
                                                 own.count == width))
                    else:
                        own.held, own.held_bytes = own.word, own.count
                    self._take(own.cycle)
                    continue
                own.cycle += 1
            own.held_bytes += min(end, limit) - own.address
            if end >= limit or own.last:
                while self._output is not None:
                    own.at = 4
                    yield
                own.cycle = max(own.cycle, self._free)
                own.crosses = end > limit
                self._write(own.cycle, (own.word * width,
                                        limit if own.ascending else own.address,
                                        own.ascending or own.row_first,
                                        own.last and not own.crosses,
                                        own.held_bytes == width))
                own.held = own.word + 1 if own.crosses else None
                own.held_bytes = end - limit if own.crosses else 0
                if own.crosses and own.last:
                    self._finish(own.cycle, (limit, end, own.ascending, True,
                                             own.held_bytes == width))
                    own.held, own.held_bytes = None, 0
            else:
                own.held = own.word
            self._take(own.cycle)

    def _holds_beat(self) -> bool:
        """Whether a beat waits to become part of a word."""
        return self._beat is not None

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
                               word[4], self._taken)

    def _taken(self, cycle: int) -> None:
        """Memory takes the word in the output register."""
        assert self._output is not None
        (_, reached, reaches, last, _), self._output = self._output, None
        self._free = cycle
        self.taken += 1
        events, index = self._events, len(self.writes)
        events.news = True
        if events.log:
            track = events.log.tracks["store"]
            track.wait(events.begun("store", index) or 0, self._asked, index, "input")
            track.wait(self._asked, cycle, index, "memory")
            track.work(cycle, cycle + 1, index)
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
