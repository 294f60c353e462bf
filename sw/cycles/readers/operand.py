"""Cycle model: the second operand of ADD on its way from memory to the post unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.log import CODE_BITS
from kaniwa.cycles.look import Locals, Look, values_of
from kaniwa.isa import Mode
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["OperandPath", "row_beats"]

BEATS_AHEAD = 16

LOCALS = Locals(
    ("before", "granted", "free", "begun", "leave", "allowed", "pending", "room_at", "asked"),
    ("index", "place", "crosses", "takes", "fresh", "number", "count"),
    ("self", "events", "width", "moves", "moved", "taken", "track", "requested", "v", "last_word",
     "mark", "known", "waiting", "beats", "row", "row_address", "offset", "address", "word",
     "marks"),
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


class OperandPath:
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
        values = values_of(self.reader)
        return values["row"] if values.get("index") == index and "row" in values else None

    def state(self, look: Look, index: int, row: int) -> tuple[Any, ...] | None:
        """What the path does next hangs on, at the output row ``row`` of an instruction.

        None where it waits for a producer that still writes.
        """
        values = values_of(self.reader)
        used, ready = self._events.operand_used, self._events.operand_ready
        moves, moved, taken = self._moves, self._moved, self._taken
        place: tuple[Any, ...] = ()
        if "row" in values:
            width, address = self._config.read_bytes, values["row_address"]
            waiting, retired = values["waiting"], self._events.retired
            if waiting < 0 or (waiting < len(retired) and look.old(retired[waiting])):
                known: tuple[int, ...] = ()
            elif values["index"] == index:
                return None
            else:
                known = values["known"], values["mark"]
            place = (values["row"] - row if values["index"] == index else values["row"], known,
                     address % width, values["last_word"] - address // width,
                     values.get("word", 0) - address // width,
                     min(values["requested"], self._words_ahead), values["requested"] - len(taken))
        return (look.frame(self.reader, LOCALS), place, min(len(moves), BEATS_AHEAD),
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
        events, width = self._events, self._config.read_bytes
        moves, moved, taken = self._moves, self._moved, self._taken
        track = events.log and events.log.tracks["operand"]
        before, granted = -1, -1   # grants of the last two requests
        free, requested = 0, 0     # free: from when on an instruction is taken
        events.opens("operand", 0)
        for index, v in enumerate(self._instructions):
            while len(events.offered["operand"]) <= index:
                yield None
            begun = max(free, events.offered["operand"][index])
            if not v["add"]:
                free = begun + 1
                events.opens("operand", free)
                continue
            leave = begun + 2
            last_word, mark = -1, 0
            allowed, known = 0, NEVER if not v["operand_wait"] else 0
            waiting = v["operand_wait"] - 1
            beats, row = row_beats(self._config, v, "operand"), 0
            while row < events.rows[index]:
                row_address = v["operand_address"] + row * v["operand_row_pitch"]
                for place, (offset, count) in enumerate(beats):
                    address = row_address + offset
                    word, crosses = address // width, address % width + count > width
                    takes = 1
                    fresh = word != last_word
                    if crosses and fresh:
                        takes = 2
                    elif crosses:
                        word, fresh = word + 1, True
                    for number in range(takes):
                        word += number
                        leave += 1
                        pending = leave
                        if len(moves) >= BEATS_AHEAD:
                            while len(moved) <= len(moves) - BEATS_AHEAD:
                                self.poke()
                                if len(moved) <= len(moves) - BEATS_AHEAD:
                                    yield None
                            leave = max(leave, moved[len(moves) - BEATS_AHEAD] + 1)
                        if fresh:
                            if requested >= self._words_ahead:
                                while len(taken) <= requested - self._words_ahead:
                                    self.poke()
                                    if len(taken) <= requested - self._words_ahead:
                                        yield None
                                leave = max(leave, taken[requested - self._words_ahead] + 1)
                            room_at = leave
                            while (word + 1) * width + self._left_out(index) > known:
                                marks = (events.watermarks[waiting]
                                         if waiting < len(events.watermarks)
                                         and v["operand_watermark"] else ((), ()))
                                if mark < len(marks[0]):
                                    allowed, known = marks[0][mark] + 1, marks[1][mark]
                                    mark += 1
                                elif len(events.retired) > waiting:
                                    allowed, known = events.retired[waiting] + 1, NEVER
                                else:
                                    yield None
                            leave = max(leave, before + 1, allowed)
                        last_word = word
                        moves.append((leave, fresh, number == takes - 1))
                        events.news = True
                        if (place == len(beats) - 1 and row == events.rows[index] - 1
                                and number == takes - 1):
                            free = leave + 1
                            events.opens("operand", free)
                        if fresh:
                            requested += 1
                            self.address = word * width + self._left_out(index)
                            asked = max(leave, granted) + 1
                            before, granted = granted, (yield asked)
                            if track:
                                track.tell(pending, room_at, index, "room")
                                track.tell(room_at, leave, index, "dependency")
                                track.tell(asked, granted, index, "memory")
                                track.told += (granted, granted + 1, index << CODE_BITS)
                row += 1
        while True:
            yield None

    def _left_out(self, index: int) -> int:
        """Bytes of the operand's rows that are left out of the model."""
        return self._events.shifts[index] * self._instructions[index]["operand_row_pitch"]
