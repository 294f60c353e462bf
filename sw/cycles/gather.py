"""Cycle model: input rows in the line buffer, and the reads that gather patches from them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events
from kaniwa.cycles.look import Frame, Kinds, Look
from kaniwa.cycles.memory import Follower
from kaniwa.program.instruction import Values

__all__ = ["FREED", "GATHERED", "Gather", "InputRows", "free_rows"]

FREED: Final = 2      # from a step to what the load unit sees of it
GATHERED: Final = 3   # from the read that completes a word of a patch to the step that uses it
ROOM: Final = 2       # from the last step that uses one to a read in its place

READ = Kinds(("cycle",), ("x", "number"), (
    "self", "own", "v", "rows", "line_end", "width", "ready", "used", "words", "reads", "end",
    "tap", "place", "row", "word", "real", "before"), ("cycle",))


class InputRows:
    """Words of memory that an instruction's input rows take, from the ``first`` on."""

    def __init__(self, config: AcceleratorConfig, v: Values, first: int) -> None:
        self._width = config.read_bytes
        self._rows = []     # of each row the words before it, and its bytes before its first one
        self.end = first
        for row in range(v["ifm_rows"]):
            shift = (v["ifm_address"] + row * v["ifm_pitch"]) % self._width
            self._rows.append((self.end - 1, shift))
            self.end += (shift + v["ifm_row_bytes"] - 1) // self._width + 1

    def shift(self, row: int) -> int:
        """Bytes of the row's first word that are before it."""
        return self._rows[row][1]

    def word(self, row: int, end: int) -> int:
        """The word with the last byte before ``end``."""
        before, shift = self._rows[row]
        return before - -(shift + end) // self._width


def free_rows(events: Events, v: Values, y: int, cycle: int, line_end: int) -> None:
    """Output row ``y`` needs no more bytes: rows above the next one's window are free."""
    row = (y + 1) * v["stride_rows"] - v["pad_top"]
    if row >= 0 and y + 1 < v["ofm_rows"]:
        events.news = True
        events.frees.append((
            cycle + FREED, line_end - max(0, v["ifm_rows"] - row) * v["line_pitch"]))


class _Read(Frame):
    """The next read: ``number`` of output column ``x``, at the earliest in ``cycle``."""

    def __init__(self, cycle: int) -> None:
        super().__init__()
        self.cycle = cycle
        self.x = self.number = 0


class Gather(Follower):
    """Issues reads ahead of the array's steps, as far as the patch buffer has room.

    ``issued``: cycles of the instruction's reads. ``ends``: bytes of a patch that are there with
    each of its reads, ``completes``: the read that completes each of its words. ``used``: last
    steps that use the words of the patch buffer. ``lacking``: cycles in which bytes were missing.
    """

    def __init__(self, config: AcceleratorConfig, events: Events) -> None:
        self._config, self._events = config, events
        self.issued: list[int] = []
        self.ends: list[int] = []
        self.completes: list[int] = []
        self.used: list[int] = []
        self.lacking: list[tuple[int, int]] = []
        self._words = 0
        self.row = 0
        self._place = _Read(0)
        self._reading: Generator[None] | None = None

    def begin(self, v: Values, rows: InputRows, cycle: int, line_end: int) -> None:
        """The next instruction, with its first read in ``cycle``; its rows end at ``line_end``."""
        width = self._config.dot_width
        self.issued = []
        self.ends = [min(ky * v["segment_bytes"] + (chunk + 1) * width,
                         (ky + 1) * v["segment_bytes"])
                     for ky in range(v["kernel_rows"]) for chunk in range(v["chunks"])]
        self.completes = [next((i for i, end in enumerate(self.ends) if end >= (word + 1) * width),
                               len(self.ends) - 1) for word in range(v["steps"])]
        self._place = _Read(cycle)
        self._reading = self._read(v, rows, line_end)
        self._events.news = self._events.patches_awaited = True

    def state(self, look: Look, row: int, read: int) -> tuple[Any, ...]:
        """What comes next hangs on, at the output row ``row``, of which ``read`` have been used."""
        if self._reading is None:
            return ()
        return (look.frame(self._place, READ), self.row - row,
                look.recent(self.issued, len(self.issued) - read), len(self.issued) - read,
                look.recent(self.used, self._config.patch_bytes // self._config.dot_width),
                self._words - len(self.used))

    def poke(self) -> None:
        """Read as far as is known by now."""
        if self._reading is not None and next(self._reading, self) is self:
            self._reading = None
            self._events.patches_awaited = False

    def _read(self, v: Values, rows: InputRows, line_end: int) -> Generator[None]:
        own, width = self._place, self._config.dot_width
        ready, used = self._events.load_ready, self.used
        words = self._config.patch_bytes // width
        reads = [(number // v["chunks"] * v["dilation_rows"], (last - 1) // width)
                 for number, last in enumerate(self.ends)]
        self.row = 0
        while self.row < v["ofm_rows"]:
            for own.x in range(v["ofm_columns"]):
                end = min(own.x * v["pixel_step"] - v["pad_left_bytes"] + v["window_span"],
                          v["ifm_row_bytes"])
                for own.number, (tap, place) in enumerate(reads):
                    row = self.row * v["stride_rows"] - v["pad_top"] + tap
                    if 0 <= row < v["ifm_rows"] and end >= 0:
                        while len(ready) <= (word := rows.word(
                                self.row * v["stride_rows"] - v["pad_top"] + tap, end)):
                            own.at = 1
                            yield
                        if word >= 0 and ready[word] > own.cycle:
                            real = self._events.real
                            self.lacking.append((real(own.cycle), real(ready[word])))
                            own.cycle = ready[word]
                    before = self._words + place - words   # in the same place
                    if before >= 0:
                        while len(used) <= before:
                            own.at = 2
                            yield
                        own.cycle = max(own.cycle, used[before] + ROOM)
                    self.issued.append(own.cycle)
                    own.cycle += 1
                self._words += v["steps"]
            free_rows(self._events, v, self.row, own.cycle - 1, line_end)
            self.row += 1
        self._events.frees.append((own.cycle - 1 + FREED, line_end))
        self._events.news = True
