"""Cycle model: the second operand of ADD on its way from memory to the post unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.look import Frame, Kinds, Look
from kaniwa.cycles.memory import ReadPath
from kaniwa.isa import Mode
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["OperandPath", "row_beats"]

BEATS_AHEAD: Final = 16

READ = Kinds(
    ("before", "granted", "free", "begun", "leave", "allowed", "pending", "room_at", "asked"),
    ("index", "place", "crosses", "takes", "fresh", "number", "count"),
    ("self", "own", "events", "width", "moves", "moved", "taken", "track", "requested", "v",
     "last_word", "mark", "known", "waiting", "beats", "row", "row_address", "offset", "address",
     "word", "marks"),
    ("pending", "room_at", "leave", "asked"))


def row_beats(config: AcceleratorConfig, v: Values, which: str) -> list[tuple[int, int]]:
    """(bytes from the row's first, bytes) of the beats of a row of the ``which`` tensor, in the
    order of results."""
    lanes, width, last = config.requant_lanes, v["block_width"], v["last_width"]
    blocks, pitch = v["blocks"], v[f"{which}_pixel_pitch"]
    of_block = [[(block * width + first, min(lanes, size - first))
                 for first in range(0, size, lanes)]
                for block, size in enumerate([width] * (blocks - 1) + [last])]
    columns = range(0, v["ofm_columns"] * pitch, pitch) if pitch else [0] * v["ofm_columns"]
    if v["mode"] == Mode.COLUMN:
        return [(x + first, size) for block in of_block for x in columns for first, size in block]
    pixel = [beat for block in of_block for beat in block]
    return [(x + first, size) for x in columns for first, size in pixel]


class _Read(Frame):
    """``place``: of the beat in its row, ``number`` of its ``takes`` moves; ``fresh``: the move
    takes a word.

    ``pending``: since when a word waits, ``room_at`` for the producer; ``allowed``: cycle from
    which what the producer has written up to ``known``, its watermark before ``mark``, may be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before = self.granted = -1      # grants of the last two requests
        self.free = self.requested = 0       # free: from when on an instruction is taken
        self.begun = self.leave = self.allowed = self.pending = self.room_at = self.asked = 0
        self.index = self.place = self.takes = self.number = self.count = 0
        self.crosses = self.fresh = False
        self.row, self.row_address = -1, 0   # no row yet
        self.word = self.mark = self.known = self.waiting = 0
        self.last_word = -1


class OperandPath(ReadPath):
    """Reads the words of the operand's beats, as far ahead as its queues have room.

    A beat is a move from words to the post unit, or two where two words are taken for it.
    """

    def __init__(self, config: AcceleratorConfig, instructions: Sequence[Values],
                 events: Events) -> None:
        self._config, self._instructions, self._events = config, instructions, events
        self._words_ahead = max(3, -(-BEATS_AHEAD * config.requant_lanes // config.read_bytes))
        # Beats between the words and where the post unit uses them: a buffer, and its queue.
        self._held = 2 + (BEATS_AHEAD + 1 if config.requant_cycles == 1 else 0)
        self._ready = 2 if config.requant_cycles == 1 else 1
        self.address = 0
        self._responses: list[int] = []
        self._moves: list[tuple[int, bool, bool]] = []   # left when, takes a word, makes a beat
        self._moved: list[int] = []   # when they are made
        self._taken: list[int] = []   # when words are
        self._made = 0
        self._reading = _Read()
        self.reader = self._read()

    def respond(self, cycle: int) -> None:
        self._responses.append(cycle)
        self._events.news = True

    def heard(self) -> int:
        """How far the path is, and what others told it."""
        events = self._events
        return (len(events.offered["operand"]) + len(self._responses) + len(self._moves)
                + len(self._moved) + len(events.operand_used) + len(events.retired)
                + events.written)

    def row(self, index: int) -> int | None:
        """The row of the instruction whose operand it reads, None where it reads none of it."""
        own = self._reading
        return own.row if own.index == index and own.row >= 0 else None

    def state(self, look: Look, index: int, row: int) -> tuple[Any, ...] | None:
        """What the path does next hangs on, at the output row ``row`` of an instruction.

        None where it waits for a producer that still writes.
        """
        own = self._reading
        used, ready = self._events.operand_used, self._events.operand_ready
        moves, moved, taken = self._moves, self._moved, self._taken
        place: tuple[Any, ...] = ()
        if own.row >= 0:
            width, address = self._config.read_bytes, own.row_address
            waiting, retired = own.waiting, self._events.retired
            if waiting < 0 or (waiting < len(retired) and look.old(retired[waiting])):
                known: tuple[int, ...] = ()
            elif own.index == index:
                return None
            else:
                known = own.known, own.mark
            place = (own.row - row if own.index == index else own.row, known,
                     address % width, own.last_word - address // width,
                     own.word - address // width,
                     min(own.requested, self._words_ahead), own.requested - len(taken))
        return (look.frame(own, READ), place, min(len(moves), BEATS_AHEAD),
                [(look.at(leave), *kind) for leave, *kind in moves[len(moved):]],
                look.recent(moved, BEATS_AHEAD), look.recent(taken, self._words_ahead),
                look.recent(self._responses, len(self._responses) - len(taken)),
                len(self._responses) - len(taken), look.at(self._made),
                look.recent(used, self._held), look.recent(ready, len(ready) - len(used)),
                len(ready) - len(used), min(len(ready), self._held))

    def poke(self) -> None:
        """Make the moves as far as is known by now."""
        used, ready = self._events.operand_used, self._events.operand_ready
        while len(self._moved) < len(self._moves):
            leave, takes, emits = self._moves[len(self._moved)]
            made = max(self._made + 1, leave + 3)
            if takes:
                if len(self._responses) <= len(self._taken):
                    return
                made = max(made, self._responses[len(self._taken)] + 2)
            if emits and len(ready) >= self._held:
                if len(used) <= len(ready) - self._held:
                    return
                made = max(made, used[len(ready) - self._held] + 2)
            self._made = made
            self._moved.append(made)
            if takes:
                self._taken.append(made)
            if emits:
                ready.append(made + self._ready)
            self._events.news = True

    def _read(self) -> Reader:
        own = self._reading
        events, width = self._events, self._config.read_bytes
        moves, moved, taken = self._moves, self._moved, self._taken
        track = events.log and events.log.tracks["operand"]
        events.opens("operand", 0)
        for own.index, v in enumerate(self._instructions):
            while len(events.offered["operand"]) <= own.index:
                own.at = 1
                yield None
            own.begun = max(own.free, events.offered["operand"][own.index])
            if not v["add"]:
                own.free = own.begun + 1
                events.opens("operand", own.free)
                continue
            own.leave = own.begun + 2
            own.last_word, own.mark = -1, 0
            own.allowed, own.known = 0, NEVER if not v["operand_wait"] else 0
            own.waiting = v["operand_wait"] - 1
            beats, own.row = row_beats(self._config, v, "operand"), 0
            while own.row < events.rows[own.index]:
                own.row_address = v["operand_address"] + own.row * v["operand_row_pitch"]
                for own.place, (offset, own.count) in enumerate(beats):
                    address = own.row_address + offset
                    own.word = address // width
                    own.crosses = address % width + own.count > width
                    own.fresh = own.word != own.last_word
                    own.takes = takes = 2 if own.crosses and own.fresh else 1
                    if own.crosses and not own.fresh:
                        own.word, own.fresh = own.word + 1, True
                    for own.number in range(takes):
                        own.word += own.number
                        own.leave += 1
                        own.pending = own.leave
                        if len(moves) >= BEATS_AHEAD:
                            while len(moved) <= len(moves) - BEATS_AHEAD:
                                self.poke()
                                if len(moved) <= len(moves) - BEATS_AHEAD:
                                    own.at = 2
                                    yield None
                            own.leave = max(own.leave, moved[len(moves) - BEATS_AHEAD] + 1)
                        if own.fresh:
                            if own.requested >= self._words_ahead:
                                while len(taken) <= own.requested - self._words_ahead:
                                    self.poke()
                                    if len(taken) <= own.requested - self._words_ahead:
                                        own.at = 3
                                        yield None
                                own.leave = max(
                                    own.leave, taken[own.requested - self._words_ahead] + 1)
                            own.room_at = own.leave
                            while (own.word + 1) * width + self._left_out(own.index) > own.known:
                                marks = (events.watermarks[own.waiting]
                                         if own.waiting < len(events.watermarks)
                                         and v["operand_watermark"] else ((), ()))
                                if own.mark < len(marks[0]):
                                    own.allowed = marks[0][own.mark] + 1
                                    own.known = marks[1][own.mark]
                                    own.mark += 1
                                elif len(events.retired) > own.waiting:
                                    own.allowed = events.retired[own.waiting] + 1
                                    own.known = NEVER
                                else:
                                    own.at = 4
                                    yield None
                            own.leave = max(max(own.leave, own.before + 1), own.allowed)
                        own.last_word = own.word
                        moves.append((own.leave, own.fresh, own.number == own.takes - 1))
                        events.news = True
                        if (own.place == len(beats) - 1 and own.row == events.rows[own.index] - 1
                                and own.number == own.takes - 1):
                            own.free = own.leave + 1
                            events.opens("operand", own.free)
                        if own.fresh:
                            own.requested += 1
                            self.address = own.word * width + self._left_out(own.index)
                            own.asked = max(own.leave, own.granted) + 1
                            own.at = 5
                            own.before, own.granted = own.granted, (yield own.asked)
                            if track:
                                track.wait(own.pending, own.room_at, own.index, "room")
                                track.wait(own.room_at, own.leave, own.index, "dependency")
                                track.wait(own.asked, own.granted, own.index, "memory")
                                track.work(own.granted, own.granted + 1, own.index)
                own.row += 1
        while True:
            own.at = 6
            yield None

    def _left_out(self, index: int) -> int:
        """Bytes of the operand's rows that are left out of the model."""
        return self._events.shifts[index] * self._instructions[index]["operand_row_pitch"]
