"""Cycle model: the second operand of ADD on its way from memory to the post unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.isa import Mode
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["OperandPath", "beats"]

BEATS_AHEAD = 16


def beats(config: AcceleratorConfig, v: Values, which: str) -> Iterator[tuple[int, int]]:
    """(address, bytes) of the beats of the ``which`` tensor, in the order of results."""
    lanes, width, last = config.requant_lanes, v["block_width"], v["last_width"]
    blocks, columns = v["blocks"], v["ofm_columns"]
    pixel_pitch = v[f"{which}_pixel_pitch"]
    by_block = v["mode"] == Mode.COLUMN
    for y in range(v["ofm_rows"]):
        row = v[f"{which}_address"] + y * v[f"{which}_row_pitch"]
        for outer in range(blocks if by_block else columns):
            for inner in range(columns if by_block else blocks):
                block, x = (outer, inner) if by_block else (inner, outer)
                address = row + x * pixel_pitch + block * width
                left = last if block == blocks - 1 else width
                while left > 0:
                    yield address, min(left, lanes)
                    address += lanes
                    left -= lanes


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

    def _read(self) -> Reader:
        events, width = self._events, self._config.read_bytes
        moves, moved, taken = self._moves, self._moved, self._taken
        before, granted = -1, -1   # grants of the last two requests
        free, requested = 0, 0     # free: from when on an instruction is taken
        events.open["operand"].append(0)
        for index, v in enumerate(self._instructions):
            while len(events.offered["operand"]) <= index:
                yield None
            begun = max(free, events.offered["operand"][index])
            if not v["add"]:
                free = begun + 1
                events.open["operand"].append(free)
                continue
            leave = begun + 2
            last_word, mark = -1, 0
            allowed, known = 0, NEVER if not v["operand_wait"] else 0
            waiting = v["operand_wait"] - 1
            following = beats(self._config, v, "operand")
            beat = next(following, None)
            while beat is not None:
                address, count = beat
                beat = next(following, None)
                word, crosses = address // width, address % width + count > width
                takes = [word != last_word]
                if crosses and takes[0]:
                    takes.append(True)
                elif crosses:
                    word, takes = word + 1, [True]
                for number, fresh in enumerate(takes):
                    word += number
                    leave += 1
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
                        while (word + 1) * width > known:
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
                    moves.append((leave, fresh, number == len(takes) - 1))
                    if beat is None and number == len(takes) - 1:
                        free = leave + 1
                        events.open["operand"].append(free)
                    if fresh:
                        requested += 1
                        self.address = word * width
                        before, granted = granted, (yield max(leave, granted) + 1)
        while True:
            yield None
