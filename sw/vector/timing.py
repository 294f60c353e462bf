"""How long the vector unit takes while memory never makes it wait, cycle by cycle."""

from __future__ import annotations

from collections.abc import Mapping

from kaniwa.config import AcceleratorConfig
from kaniwa.vector.isa import Control, Factor, Opcode, Reduce, Width

__all__ = ["VectorClock"]

GAP = 14      # cycles from a group's read until its results may be read
TABLE = 2     # more of them where the group comes from a table
NEXT = 3      # cycles from the end of an instruction until the next one may begin
JUMP = 4
LOAD = 5      # from the beginning of a load to its end, beside the memory's latency and the units
START = 5     # from the command to the first instruction, beside the program's load


class VectorClock:
    """Counts the cycles of a program.

    ``odd``: whether the command is accepted in an odd cycle after reset; groups begin in even ones.
    ``now``: the cycle, counted from the command, in which the next instruction may begin; after END
    the one in which the unit is idle again. Memory gives a word a cycle, ``latency`` cycles after
    its request: that of on-chip memory, if not told.
    """

    def __init__(self, config: AcceleratorConfig, odd: bool = False,
                 latency: int | None = None) -> None:
        self._config, self._odd = config, odd
        self._load = LOAD + (config.memory_latency if latency is None else latency)
        self.begin(0)

    def begin(self, instructions: int) -> None:
        """A command that loads so many instructions."""
        self.now = instructions + self._load + START if instructions else 7
        self._next_read = self._first_read = self._written = -GAP
        self._fence = False

    def _even(self, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which a group may begin."""
        return cycle + (cycle + self._odd) % 2

    def step(self, values: Mapping[str, int], groups: int, last: int, jumped: bool) -> None:
        """An instruction of ``groups`` groups, of which the last one has ``last`` lanes."""
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
            self.now = begun + units + self._load + NEXT
        else:
            self.now = self._store(begun, groups, width, last) + NEXT

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

    def _store(self, begun: int, groups: int, width: Width, last: int) -> int:
        """The cycle in which a store's last word has been accepted."""
        beats = self._beats(width, self._config.write_bytes)
        taken = self._even(begun + 3) + 4
        for _ in range(groups - 1):
            taken = max(taken + 6, self._even(taken + 2 + beats))
        elements = self._config.requant_lanes // beats
        return taken + 2 + beats + (last > (beats - 1) * elements)
