"""Time that the vector unit takes where nothing else uses memory, cycle by cycle."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.timing import READS_IN_FLIGHT
from kaniwa.units.vector.isa import Control, Factor, Opcode, Reduce, Width

__all__ = ["MemorySide", "VectorClock"]

GAP = 14      # cycles from a group's read until its results may be read
TABLE = 2     # more of them where the group comes from a table
NEXT = 3      # cycles from the end of an instruction until the next one may begin
JUMP = 4
LOAD = 5      # from the beginning of a load to its end, beside the memory's latency and the units
START = 5     # from the command to the first instruction, beside the program's load
ASKED = 2     # from the beginning of a load until its first request is before memory


@dataclass
class MemorySide:
    """On-chip or outside memory: ``latency`` cycles from a request to its word, and those for which
    a read and a write have its bus. ``free``: when the bus is."""

    latency: int
    read_cycles: int = 1
    write_cycles: int = 1
    free: int = 0

    def read(self, asked: int, count: int) -> int:
        """Cycles from the first request to the arrival of the last of ``count`` words."""
        at = max(asked, self.free)
        if self.latency + self.read_cycles < READS_IN_FLIGHT * self.read_cycles:
            at += (count - 1) * self.read_cycles
        else:
            at = self._read_within_limit(at, count)
        self.free = at + self.read_cycles
        return self.free + self.latency - asked

    def _read_within_limit(self, at: int, count: int) -> int:
        """When the last of ``count`` requests is taken: no more than so many are on their way."""
        words: deque[int] = deque(maxlen=READS_IN_FLIGHT)
        for number in range(count):
            words.append(at + self.read_cycles + self.latency)
            if number < count - 1:
                at += self.read_cycles
                if len(words) == READS_IN_FLIGHT:
                    at = max(at, words[0])
        return at

    def write(self, cycle: int) -> int:
        """When a word is accepted that is there in ``cycle``."""
        taken = max(cycle, self.free)
        self.free = taken + self.write_cycles
        return taken


class VectorClock:
    """Counts the cycles of a program.

    ``odd``: whether the command is accepted in an odd cycle after reset; groups begin in even ones.
    ``now``: the cycle, counted from the command, in which the next instruction may begin; after END
    the one in which the unit is idle again. ``sides``: on-chip and outside memory; both give a word
    a cycle as on-chip memory does, if not told.
    """

    def __init__(self, config: AcceleratorConfig, odd: bool = False,
                 sides: tuple[MemorySide, MemorySide] | None = None) -> None:
        self._config, self._odd = config, odd
        side = MemorySide(config.memory_latency)
        self._sides = sides or (side, side)
        self.begin(0, False)

    def begin(self, instructions: int, outside: bool) -> None:
        """A command that loads so many instructions, from ``outside`` or on-chip memory."""
        for side in self._sides:
            side.free = 0
        self.now = 7
        if instructions:
            self.now = LOAD + START + self._sides[outside].read(ASKED, instructions)
        self._next_read = self._first_read = self._written = -GAP
        self._fence = False

    def _even(self, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which a group may begin."""
        return cycle + (cycle + self._odd) % 2

    def step(self, values: Mapping[str, int], groups: int, last: int, jumped: bool,
             outside: bool) -> None:
        """An instruction of ``groups`` groups, of which the last one has ``last`` lanes. A LOAD or
        STORE is of on-chip or of ``outside`` memory."""
        opcode = Opcode(values["opcode"])
        if opcode == Opcode.COMPUTE:
            self._compute(values, groups)
            return
        if opcode == Opcode.CONTROL:
            kind = values["function"]
            if kind == Control.END:
                self.now = max(self.now, self._written) + 3
            elif kind == Control.NEXT:
                self.now += 3 + (JUMP if jumped else NEXT)
            else:
                self.now += 2 + NEXT
            return
        begun = max(self.now, self._written)
        width = Width(values["function"])
        if opcode == Opcode.LOAD:
            units = groups
            if values["reduce"] != Reduce.LANES:
                units *= self._beats(width, self._config.read_bytes)
            self.now = begun + LOAD + self._sides[outside].read(begun + ASKED, units) + NEXT
        else:
            self.now = self._store(begun, groups, width, last, self._sides[outside]) + NEXT

    def _beats(self, width: Width, port: int) -> int:
        return max(1, (self._config.requant_lanes << width) // port)

    def _compute(self, values: Mapping[str, int], groups: int) -> None:
        table = values["factor"] in (Factor.TABLE_256, Factor.TABLE_512)
        earliest = max(self.now, self._next_read)
        earliest = max(earliest, self._written if self._fence or table else self._first_read)
        begun = self._even(earliest)
        self._next_read, self._first_read = begun + 2 * groups, begun + GAP
        self._written = begun + 2 * (groups - 1) + GAP - 1 + TABLE * table
        self._fence = table or values["reduce"] != Reduce.NONE
        self.now = begun + NEXT

    def _store(self, begun: int, groups: int, width: Width, last: int, side: MemorySide) -> int:
        """The cycle in which a store's last word has been accepted."""
        beats = self._beats(width, self._config.write_bytes)
        elements = self._config.requant_lanes // beats
        given, accepted = self._even(begun + 3) + 4, 0
        for group in range(groups):
            packed = given      # a word goes to the register before memory when that is left
            for beat in range(beats):
                packed = max(packed + 1, accepted)
                if group < groups - 1 or last > beat * elements:
                    accepted = side.write(packed + 1)
            if group < groups - 1:
                given = max(given + 6, self._even(packed + 2))
        return max(packed + 1, accepted + 1) + 1
