"""The AXI4 master at a port of LiteDRAM: bursts, writes, and which of both goes next.

Words of reads wait in the master until their burst leaves; a burst grows while words come that
follow each other. LiteDRAM's adapter gives turns: it changes sides behind a burst where the other
side waits, and where its own side has nothing to ask. Times are cycles since the beginning of the
run. The units are ``hw/bus/gather.py``, ``hw/bus/axi_reader.py``, ``hw/bus/axi_writer.py``, and
``frontend/axi.py`` of LiteDRAM 2024.12. docs/decisions/0077-litedram.md has the rules.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.litedram import LiteDram
from kaniwa.litedram_modules import LiteDramTiming
from kaniwa.timing import NEVER

__all__ = ["LiteDramPort"]

PAGE: Final = 4096          # bytes that no burst crosses the end of
BURST_WORDS: Final = 8      # most words of a burst
READ_BEATS: Final = 16      # beats of reads that the adapter has room for
TO_GATHER: Final = 1        # cycles from a request to the unit that makes bursts
TO_WORD: Final = 1          # from the last beat to its word
WRITES_WAITING: Final = 4   # in the master and in the adapter
WRITES_UNANSWERED: Final = 8


class LiteDramPort:
    """``accesses``: words and writes that were told of so far."""

    def __init__(self, config: AcceleratorConfig, timing: LiteDramTiming) -> None:
        self._dram = LiteDram(timing)
        self._width = timing.width
        self._read_bytes = config.read_bytes
        self._write_beats = max(1, config.write_bytes // timing.width)
        self._words: deque[tuple[int, int]] = deque()   # when they came, and where
        self._left = self._place = 0       # beats of the burst that was begun, and where they go on
        # The burst before: when it left the gathering unit's register, was accepted, and ended.
        self._left_gather = self._accepted = self._ended = -1
        self._levels = deque([-1] * READ_BEATS)     # when the words of the last beats were there
        self._writes: deque[tuple[int, int]] = deque()  # when they were accepted, and where
        self._write_accepted = -1                       # when the adapter has taken the one before
        self._ended_writes = deque([-1] * WRITES_WAITING, WRITES_WAITING)
        self._answered_writes = deque([-1] * WRITES_UNANSWERED, WRITES_UNANSWERED)
        self._reading = False              # which side the adapter looks at
        self._next = 0                     # from when on a beat may be taken
        self._turn = -1                    # when the last beat of a burst was, if it was the last
        self._known = True
        self._due = NEVER
        self.accesses = 0

    def ask(self, cycle: int, address: int) -> None:
        """A read of the word at ``address`` reaches the master in ``cycle``."""
        self.accesses += 1
        self._known = False
        self._words.append((cycle + TO_GATHER, address))

    def room(self) -> int:
        """From when on the master accepts a write; NEVER while it is not known."""
        waiting = len(self._writes)
        if waiting >= WRITES_WAITING:
            return NEVER
        return max(self._ended_writes[waiting], self._answered_writes[waiting]) + 1

    def write(self, cycle: int, address: int) -> None:
        """A write to ``address`` is accepted in ``cycle``."""
        self.accesses += 1
        self._known = False
        self._writes.append((cycle, address))

    def due(self) -> int:
        """When the adapter takes something or changes sides, as far as is known."""
        if not self._known:
            self._due = self._plan()[0]
            self._known = True
        return self._due

    def go_on(self) -> list[int]:
        """Do what is due; returns the cycles in which words come that were asked for."""
        cycle, turns, reading = self._plan()
        self._known = False
        self._reading, self._turn = reading != turns, -1
        if turns:
            self._next = cycle + 1
            return []
        if reading:
            return self._read(cycle)
        self._write(cycle)
        return []

    def _plan(self) -> tuple[int, bool, bool]:
        """When the next thing is, whether it is a change of sides, and the side till then."""
        reading = self._reading
        own, other = self._read_at(), self._write_at()
        if not reading:
            own, other = other, own
        if other <= self._turn:
            reading, own, other = not reading, other, own
        start, turns = max(self._next, own), max(self._next, other)
        return (turns, True, reading) if turns < start else (start, False, reading)

    def _read_at(self) -> int:
        """From when on a read is at the adapter."""
        if self._left:
            return self._levels[0] + 1
        if not self._words:
            return NEVER
        return max(self._burst()[2] + 1, self._levels[0] + 1)

    def _burst(self) -> tuple[int, int, int]:
        """Words of the next burst; when it leaves the gathering unit's register, and is accepted.

        It grows in every cycle in which the next word comes, and while the register is not free.
        """
        words, place = self._words, self._words[0][1]
        last, count = words[0][0], 1
        most = min(BURST_WORDS, (PAGE - place % PAGE) // self._read_bytes, len(words))
        while count < most:
            came, address = words[count]
            came = max(came, last + 1)
            if (address != place + count * self._read_bytes
                    or came > max(last + 1, self._left_gather)):
                break
            last, count = came, count + 1
        leaves = max(max(last + 1, self._left_gather) + 1, self._accepted)
        return count, leaves, max(leaves + 1, self._ended)

    def _read(self, cycle: int) -> list[int]:
        """Beats of a burst, until it ends or the other side takes its turn."""
        if not self._left:
            count, self._left_gather, self._accepted = self._burst()
            self._place = self._words[0][1]
            self._left = count * self._read_bytes // self._width
            for _ in range(count):
                self._words.popleft()
        answers = list[int]()
        levels, dram, write_at = self._levels, self._dram, self._write_at()
        while self._left:
            start = max(self._next, levels[0] + 1)
            if max(self._next, write_at) < start:
                return answers
            taken = dram.beat(max(start, cycle), self._place, False)
            levels.popleft()
            levels.append(dram.answered)
            self._left -= 1
            self._place += self._width
            self._next = taken + 1
            if self._place % self._read_bytes == 0:
                answers.append(dram.answered + TO_WORD)
        self._turn = self._ended = self._next - 1
        return answers

    def _write_at(self) -> int:
        """From when on a write is at the adapter."""
        return self._sent_write() + 1 if self._writes else NEVER

    def _sent_write(self) -> int:
        """When the adapter accepts the next write."""
        leaves = max(self._writes[0][0] + 1, self._write_accepted)
        return max(leaves + 1, self._ended_writes[-1])

    def _write(self, cycle: int) -> None:
        """The beats of a write."""
        self._write_accepted = self._sent_write()
        _, place = self._writes.popleft()
        for beat in range(self._write_beats):
            taken = self._dram.beat(cycle, place + beat * self._width, True)
        self._next, self._turn = taken + 1, taken
        self._ended_writes.append(taken)
        self._answered_writes.append(self._dram.answered)
