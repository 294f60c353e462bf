"""Time that the vector unit takes where nothing else uses memory, cycle by cycle."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.timing import READS_IN_FLIGHT
from kaniwa.units.vector.isa import (
    Addend,
    Control,
    Factor,
    Opcode,
    Reduce,
    Width,
    piece_of,
)

__all__ = ["MemorySide", "VectorClock", "queue_depth"]

GAP = 14      # cycles from a group's read until its results may be read
TABLE = 2     # more of them where the group comes from a table
NEXT = 3      # cycles from the end of an instruction until the next one may begin
JUMP = 4
LOAD = 5      # from the beginning of a load to its end, beside the memory's latency and the units
START = 5     # from the command to the first instruction, beside the program's load
ASKED = 2     # from the beginning of a load until its first request is before memory
GIVEN = 17    # from a store's group until it is in the queue before memory


def queue_depth(lanes: int) -> int:
    """Pieces that the queue of stores holds, and that may be on their way to it."""
    return max(32, 4 * lanes)


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
        self._next_read = self._first_read = self._written = self._stored = -GAP
        self._last: Mapping[str, int] | None = None     # that writes registers
        # The last one to read looks words up, for what is held.
        self._looks = self._of_held = False

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
            if kind in (Control.END, Control.PITCH, Control.BACK):
                self.now = max(self.now, self._written, self._stored)
            if kind == Control.END:
                self.now += 3
            elif kind == Control.NEXT:
                self.now += 3 + (JUMP if jumped else NEXT)
            else:
                self.now += 2 + NEXT
            return
        width, side = Width(values["function"]), self._sides[outside]
        rows = values["reduce"] == Reduce.GROUPS
        if opcode == Opcode.STORE:
            begun = self._begin(values, groups)
            self._stored = self._store(begun, groups, last, width if not rows else None, side)
            self.now = begun + 2 + NEXT
            return
        begun = max(self.now, self._written, self._stored)
        units, piece = groups, 0
        if rows:
            piece = piece_of(self._config.requant_lanes)
            units = groups // piece * self._config.requant_lanes
        elif values["reduce"] != Reduce.LANES:
            units *= self._beats(width, self._config.read_bytes)
        self.now = begun + LOAD + side.read(begun + ASKED, units) + piece + NEXT

    def _beats(self, width: Width, port: int) -> int:
        return max(1, (self._config.requant_lanes << width) // port)

    def _begin(self, values: Mapping[str, int], groups: int) -> int:
        """When the first group of an instruction is read; ``_next_read`` where all could follow at
        once."""
        table, of_held = _is_table(values), values["addend"] != Addend.B
        follows = table and (of_held or not self._of_held)     # what takes A is a slot early
        earliest = max(self.now, self._next_read + 2 * (self._looks and not follows),
                       self._first_read)
        if values["opcode"] == Opcode.STORE:
            earliest = max(earliest, self._stored)
        if self._last is not None and _waits(values, self._last):
            earliest = max(earliest, self._written)
        begun = self._even(earliest)
        self._next_read = begun + 2 * groups
        self._looks, self._of_held = table, table and of_held
        return begun

    def _compute(self, values: Mapping[str, int], groups: int) -> None:
        begun = self._begin(values, groups)
        self.now = begun + NEXT
        if values["reduce"] == Reduce.HOLD:
            return
        late = TABLE * _is_table(values)
        self._first_read = begun + GAP + late
        self._written = begun + 2 * (groups - 1) + GAP - 1 + late
        self._last = values

    def _store(self, begun: int, groups: int, last: int, width: Width | None,
               side: MemorySide) -> int:
        """When a store of ``width``, or of rows, is done; ``_next_read`` if it is held up."""
        lanes = self._config.requant_lanes
        piece, depth = piece_of(lanes), queue_depth(lanes)
        # Groups that are put together, the pieces that they are then, slots between them.
        together, pieces = (piece, lanes) if width is None else (1, (lanes << width) // piece)
        slots = max(together, -(-pieces // 2))
        popped: list[int] = []
        at, accepted, free = begun, 0, 0
        for first in range(0, groups, together):
            # A place is free again the cycle after.
            over = first // together * pieces + pieces - depth
            while over > 0 and popped[over - 1] >= at:
                at += 2
            for number in range(pieces):
                given = at + GIVEN + 2 * (together - 1) + number
                free = max(free + 1, given + 1, accepted)
                popped.append(free)
                real = number < last if width is None else (
                    first < groups - 1 or number * piece < last << width)
                if real:
                    accepted = side.write(free + 1)
            self._next_read = at + 2 * together
            at += 2 * slots
        return max(free, accepted) + 1


def _is_table(values: Mapping[str, int]) -> bool:
    return (values["opcode"] == Opcode.COMPUTE and values["reduce"] != Reduce.HOLD
            and values["factor"] in (Factor.TABLE_256, Factor.TABLE_512))


def _waits(values: Mapping[str, int], last: Mapping[str, int]) -> bool:
    """True where the ``last`` results must all be written before an instruction reads."""
    d, b = last["d"], values["b"]
    picks = values["opcode"] == Opcode.COMPUTE and values["reduce"] == Reduce.HOLD
    if (last["reduce"] != Reduce.NONE or picks) and d in (values["a"], b):
        return True
    return _is_table(values) and (d < 16 if values["factor"] == Factor.TABLE_512
                                  else d // 8 == b // 8)
