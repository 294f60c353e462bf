"""Cycle model: input rows on their way from memory into the line buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.log import CODE_BITS
from kaniwa.cycles.look import LONG_AGO, Locals, Look, values_of
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["Load"]

LOADED = 3        # from a response to the first step that may use it
IN_FLIGHT = 32    # words requested and not in the line buffer
LEFT = 2          # from a response to a request in its place

LOCALS = Locals(
    ("before", "granted", "free", "leave", "allowed", "pending", "free_at", "room_at", "asked"),
    ("index", "place", "end", "last"),
    ("self", "events", "width", "size", "load_ready", "track", "base", "v", "offered", "waiting",
     "rows", "size_left", "cycle"),
    ("pending", "free_at", "room_at", "leave", "asked"))


class Load:
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
        return (look.frame(self.reader, LOCALS), self.number - len(ready),
                min(self.number, IN_FLIGHT), look.recent(ready),
                self.row_address % self._config.read_bytes)

    @property
    def index(self) -> int | None:
        """The instruction whose rows it reads, None between two of them."""
        values = values_of(self.reader)
        index: int = values.get("index", 0)
        done = index >= len(self._events.offered["load"]) or self.row >= values.get("rows", 0)
        return None if done else index

    @property
    def pending(self) -> int:
        """Since when the next word waits."""
        pending: int = values_of(self.reader).get("pending", 0)
        return pending

    def leave_out(self, rows: int, words: int, v: Values) -> None:
        """Go on so many rows later."""
        self.row += rows
        self.row_address += rows * v["ifm_pitch"]
        self.address += rows * v["ifm_pitch"]
        self.position += rows * v["line_pitch"]
        self.number += words
        self._events.load_ready[:0] = [-LONG_AGO] * words

    def _read(self) -> Reader:
        events, width, size = self._events, self._config.read_bytes, self._config.line_bytes
        load_ready = events.load_ready
        track = events.log and events.log.tracks["load"]
        before, granted = -1, -1   # grants of the last two requests
        base, free = 0, 0          # free: from when on an instruction is taken
        events.opens("load", 0)
        for index, v in enumerate(self._instructions):
            offered = events.offered["load"]
            while len(offered) <= index:
                yield None
            leave = max(offered[index], free) + 2
            allowed, self.known = 0, 0     # cycle from which reads up to ``known`` are allowed
            if not v["ifm_wait"]:
                self.known = NEVER
            self.mark, self.row = 0, 0
            waiting, rows, size_left = v["ifm_wait"] - 1, v["ifm_rows"], v["ifm_row_bytes"]
            while self.row < rows:
                self.row_address = v["ifm_address"] + self.row * v["ifm_pitch"]
                self.position = base + self.row * v["line_pitch"]
                place = -(self.row_address % width)     # of the word, from the row's first byte
                end = 0                             # of it in the line buffer, from the row's
                while place < size_left:
                    end = v["line_pitch"] if place + width >= size_left else end + width
                    pending = leave + 1
                    leave = max(pending, before + 1)
                    if self.number >= IN_FLIGHT:
                        while len(load_ready) <= self.number - IN_FLIGHT:
                            yield None
                        leave = max(leave, load_ready[self.number - IN_FLIGHT] - LOADED + LEFT)
                    free_at = leave
                    while self.position + end - size > self.freed:
                        while len(events.frees) <= self.next_free:
                            yield None
                        cycle, self.freed = events.frees[self.next_free]
                        self.next_free += 1
                        leave = max(leave, cycle + 1)
                    room_at = leave
                    last = min(place + width, size_left) - 1
                    if self.row_address + last >= self.known:
                        while self.row_address + last >= self.known:
                            if self.mark < len(events.watermarks[waiting][0] if waiting < len(
                                    events.watermarks) else ()) and v["ifm_watermark"]:
                                allowed = events.watermarks[waiting][0][self.mark] + 1
                                self.known = events.watermarks[waiting][1][self.mark]
                                self.mark += 1
                            elif len(events.retired) > waiting:
                                allowed, self.known = events.retired[waiting] + 1, NEVER
                            else:
                                yield None
                        if allowed > pending:
                            events.waits.append((events.real(pending), events.real(allowed)))
                    leave = max(leave, allowed)
                    self.number += 1
                    place += width
                    if self.row == rows - 1 and place >= size_left:
                        free = leave + 1
                        events.opens("load", free)
                    self.address = self.row_address + place - width
                    asked = max(leave, granted) + 1
                    before, granted = granted, (yield asked)
                    if track:
                        track.tell(pending, free_at, index, "memory")
                        track.tell(free_at, room_at, index, "room")
                        track.tell(room_at, leave, index, "dependency")
                        track.tell(asked, granted, index, "memory")
                        track.told += (granted, granted + 1, index << CODE_BITS)
                self.row += 1
            base += rows * v["line_pitch"]
        while True:
            yield None
