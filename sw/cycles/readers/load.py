"""Cycle model: input rows on their way from memory into the line buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.look import LONG_AGO, Frame, Kinds, Look
from kaniwa.cycles.memory import ReadPath
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["Load"]

LOADED: Final = 3        # from a response to the first step that may use it
IN_FLIGHT: Final = 32    # words requested and not in the line buffer
LEFT: Final = 2          # from a response to a request in its place

READ = Kinds(
    ("before", "granted", "free", "leave", "allowed", "pending", "free_at", "room_at", "asked"),
    ("index", "place", "end", "last"),
    ("self", "own", "events", "width", "size", "load_ready", "track", "base", "v", "offered",
     "waiting", "rows", "size_left", "cycle"),
    ("pending", "free_at", "room_at", "leave", "asked"))


class _Read(Frame):
    """``place``, ``end``: of the next word, in the row and in the line buffer's copy of it.

    ``pending``: since when it waits, ``free_at`` for room since then, ``room_at`` for the producer;
    ``allowed``: cycle from which what the producer has written may be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before = self.granted = -1    # grants of the last two requests
        self.free = 0                      # from when on an instruction is taken
        self.leave = self.allowed = self.pending = self.free_at = self.room_at = self.asked = 0
        self.index = self.place = self.end = self.last = self.rows = 0


class Load(ReadPath):
    """Reads input rows word by word, as the ring has room and the producer's watermark allows."""

    def __init__(self, config: AcceleratorConfig, instructions: Sequence[Values],
                 events: Events) -> None:
        self._config, self._instructions, self._events = config, instructions, events
        # Of the instruction: its next row, that row's address and place in the line buffer; words
        # requested so far; bytes of the line buffer that are free again, by how many messages;
        # the address up to which the producer has written, by how many of its watermarks.
        self.row = self.row_address = self.position = self.number = 0
        self.address = 0      # of the word that it asks for
        self.freed = self.next_free = self.known = self.mark = 0
        self._reading = _Read()
        self.reader = self._read()

    def respond(self, cycle: int) -> None:
        events = self._events
        events.load_ready.append(cycle + LOADED)
        if events.patches_awaited:
            events.news = True

    def heard(self) -> int:
        """How far the unit is, and what others told it."""
        events = self._events
        return (len(events.offered["load"]) + len(events.load_ready) + len(events.frees)
                + len(events.retired) + events.written)

    def state(self, look: Look) -> tuple[Any, ...]:
        """What the unit does next hangs on, but for its room and the producer's watermarks."""
        ready = self._events.load_ready
        return (look.frame(self._reading, READ), self.number - len(ready),
                min(self.number, IN_FLIGHT), look.recent(ready),
                self.row_address % self._config.read_bytes)

    @property
    def index(self) -> int | None:
        """The instruction whose rows it reads, None between two of them."""
        own = self._reading
        done = own.index >= len(self._events.offered["load"]) or self.row >= own.rows
        return None if done else own.index

    def leave_out(self, rows: int, words: int, v: Values) -> None:
        """Go on so many rows later."""
        self.row += rows
        self.row_address += rows * v["ifm_pitch"]
        self.address += rows * v["ifm_pitch"]
        self.position += rows * v["line_pitch"]
        self.number += words
        self._events.load_ready[:0] = [-LONG_AGO] * words

    def _read(self) -> Reader:
        own = self._reading
        events, width, size = self._events, self._config.read_bytes, self._config.line_bytes
        load_ready = events.load_ready
        track = events.log and events.log.tracks["load"]
        base = 0
        events.opens("load", 0)
        for own.index, v in enumerate(self._instructions):
            offered = events.offered["load"]
            while len(offered) <= own.index:
                own.at = 1
                yield None
            own.leave = max(offered[own.index], own.free) + 2
            own.allowed, self.known = 0, 0
            if not v["ifm_wait"]:
                self.known = NEVER
            self.mark, self.row = 0, 0
            waiting, own.rows, size_left = v["ifm_wait"] - 1, v["ifm_rows"], v["ifm_row_bytes"]
            while self.row < own.rows:
                self.row_address = v["ifm_address"] + self.row * v["ifm_pitch"]
                self.position = base + self.row * v["line_pitch"]
                own.place = -(self.row_address % width)
                own.end = 0
                while own.place < size_left:
                    own.end = (v["line_pitch"] if own.place + width >= size_left
                               else own.end + width)
                    own.pending = own.leave + 1
                    own.leave = max(own.pending, own.before + 1)
                    if self.number >= IN_FLIGHT:
                        while len(load_ready) <= self.number - IN_FLIGHT:
                            own.at = 2
                            yield None
                        own.leave = max(
                            own.leave, load_ready[self.number - IN_FLIGHT] - LOADED + LEFT)
                    own.free_at = own.leave
                    while self.position + own.end - size > self.freed:
                        while len(events.frees) <= self.next_free:
                            own.at = 3
                            yield None
                        cycle, self.freed = events.frees[self.next_free]
                        self.next_free += 1
                        own.leave = max(own.leave, cycle + 1)
                    own.room_at = own.leave
                    own.last = min(own.place + width, size_left) - 1
                    if self.row_address + own.last >= self.known:
                        while self.row_address + own.last >= self.known:
                            if self.mark < len(events.watermarks[waiting][0] if waiting < len(
                                    events.watermarks) else ()) and v["ifm_watermark"]:
                                own.allowed = events.watermarks[waiting][0][self.mark] + 1
                                self.known = events.watermarks[waiting][1][self.mark]
                                self.mark += 1
                            elif len(events.retired) > waiting:
                                own.allowed, self.known = events.retired[waiting] + 1, NEVER
                            else:
                                own.at = 4
                                yield None
                        if own.allowed > own.pending:
                            events.waits.append(
                                (events.real(own.pending), events.real(own.allowed)))
                    own.leave = max(own.leave, own.allowed)
                    self.number += 1
                    own.place += width
                    if self.row == own.rows - 1 and own.place >= size_left:
                        own.free = own.leave + 1
                        events.opens("load", own.free)
                    self.address = self.row_address + own.place - width
                    own.asked = max(own.leave, own.granted) + 1
                    own.at = 5
                    own.before, own.granted = own.granted, (yield own.asked)
                    if track:
                        track.wait(own.pending, own.free_at, own.index, "memory")
                        track.wait(own.free_at, own.room_at, own.index, "room")
                        track.wait(own.room_at, own.leave, own.index, "dependency")
                        track.wait(own.asked, own.granted, own.index, "memory")
                        track.work(own.granted, own.granted + 1, own.index)
                self.row += 1
            base += own.rows * v["line_pitch"]
        while True:
            own.at = 6
            yield None
