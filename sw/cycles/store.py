"""Cycle model: the store unit, which makes words of beats and writes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.operand import beats
from kaniwa.cycles.pipeline import PostPipeline
from kaniwa.isa import OUTSIDE
from kaniwa.program.instruction import Values

__all__ = ["Store"]


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
        self._free = 0                   # when the output register last gave a word to memory
        self._output: tuple[int, bool, bool] | None = None   # reached, reaches, last: of its word
        # A word that is complete goes there as soon as it is free.
        self._complete: tuple[int, bool, bool] | None = None
        self._completed = 0
        self._left = -1                  # when the last one did
        self._buffer: deque[int] = deque()   # when its beats got there
        self._room = deque([-1, -1])         # when the beats left after which there is room again
        self._buffered = 0                   # beats so far
        self._buffering = self._fill()
        self._combining = self._combine()
        self._storing = self._store()

    def poke(self) -> None:
        """Take what beats there are."""
        before = None
        while before != (before := (self._buffered, self.stored)):
            next(self._buffering)
            next(self._storing)

    def _fill(self) -> Generator[None]:
        """Beats from the post unit into the buffer, as far as there is room."""
        events, pipeline = self._events, self._pipeline
        for v in self._instructions:
            cycle = -1
            for _ in beats(self._config, v, "ofm"):
                adds = True
                while adds:
                    while not pipeline.waiting():
                        yield
                    there, adds, left = pipeline.arrive()
                    if adds:
                        events.operand_used.append(left)
                while not self._room:
                    pipeline.settle()
                    yield
                cycle = max(there, self._room.popleft() + 1)
                if cycle > there:
                    self.held_back.append((there, cycle))
                pipeline.leave(cycle)
                self._buffer.append(cycle)
                self._buffered += 1
            events.post_done.append(cycle + 1)
        while True:
            yield

    def _store(self) -> Generator[None]:
        """Beats into the store unit, as far as it has taken the one before."""
        offered = self._events.offered["store"]
        cycle = -1
        for index, v in enumerate(self._instructions):
            self._events.open["store"].append(cycle + 1)
            begun = False
            for address, count in beats(self._config, v, "ofm"):
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
                self._beat = cycle, address, count
                self.stored += 1
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
                    self._write(cycle, address, ascending or row_first, False)
                held = None
                if end <= limit:
                    if end == limit or last:
                        self._finish(cycle, limit, ascending, last)
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
                self._write(cycle, limit if ascending else address, ascending or row_first,
                            last and not crosses)
                held = word + 1 if crosses else None
                if crosses and last:
                    self._finish(cycle, end, ascending, True)
                    held = None
            else:
                held = word
            self._take(cycle)

    def _take(self, cycle: int) -> None:
        self._consumed = cycle
        self._beat = None

    def _finish(self, cycle: int, reached: int, reaches: bool, last: bool) -> None:
        """The word held since ``cycle`` is complete."""
        self._complete, self._completed = (reached, reaches, last), cycle
        if self._output is None:
            self._flush()

    def _flush(self) -> None:
        assert self._complete is not None
        word, self._complete = self._complete, None
        self._left = max(self._completed + 1, self._free)
        self._write(self._left, *word)

    def _write(self, cycle: int, reached: int, reaches: bool, last: bool) -> None:
        """A word goes into the output register; all below ``reached`` is there once it is taken."""
        self._output = reached, reaches, last
        v = self._instructions[len(self.writes)]
        self._memory.write(v["ofm_address"] >= OUTSIDE, cycle + 1, self._taken)

    def _taken(self, cycle: int) -> None:
        """Memory takes the word in the output register."""
        assert self._output is not None
        (reached, reaches, last), self._output = self._output, None
        self._free = cycle
        events, index = self._events, len(self.writes)
        if last:
            events.retired.append(cycle + 1)
            self.writes.append(cycle)
        elif reaches and self._instructions[index]["store_in_order"]:
            times, addresses = events.watermarks[index]
            times.append(cycle + 1)
            addresses.append(reached)
        if self._complete is not None:
            self._flush()
