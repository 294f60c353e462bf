"""The record of a unit on the host's side, which ``register`` has one of for each unit.

Checks, assembler, emulator, cycle model and ``docs/isa.md`` ask the records, and name no unit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.memory import UnitMemory
from kaniwa.timing import Timing
from kaniwa.units.command import UnitCommand

__all__ = ["ARBITER", "Clock", "Members", "Read", "Runner", "Span", "Table", "Unit", "Values"]

ARBITER = 2   # cycles that a unit's read takes more than memory itself

Values = Mapping[str, int]      # fields of an instruction by name, as isa.decode gives them
Span = tuple[int, int]          # address, bytes
Read = Callable[[int, int], bytes]             # (address, bytes) to what memory holds there
Runner = Callable[[Values], None]              # does an instruction on the emulated memory
Clock = Callable[[Values, bool], int]          # cycles of an instruction, from command to idle
Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]   # Markdown of a head and rows
Members = Callable[[type], str]                # Markdown of an enum's members


class Unit(ABC):
    """One unit: what its instruction may be, does, and takes, and how the page describes it.

    Before the instruction begins all others are complete; the next one begins behind it.
    """

    command: UnitCommand

    @abstractmethod
    def illegal(self, config: AcceleratorConfig, values: Values) -> str | None:
        """The fault in an instruction's fields for which the core refuses it, or None."""

    def constants(self, values: Values) -> list[Span]:
        """Parts of the program file that the instruction points to: a program or a descriptor."""
        return []

    def reads(self, values: Values) -> list[Span]:
        """Data that the instruction reads, as far as its fields say."""
        return []

    def writes(self, values: Values) -> list[Span]:
        """Bytes that the instruction writes, as far as its fields say."""
        return []

    @abstractmethod
    def emulator(self, config: AcceleratorConfig, memory: UnitMemory) -> Runner:
        """A runner of legal instructions for one run, with the unit's state in it; it raises Fault.
        """

    @abstractmethod
    def clock(self, config: AcceleratorConfig, outside: Timing, read: Read) -> Clock:
        """A count of the cycles of each instruction of a run, from its command until the unit is
        idle again. Its second argument: the command is accepted in an odd cycle after reset.

        ``outside``: timing of outside memory. The count raises ProgramError for a faulty program.
        """

    def time_steps(self, instructions: Sequence[Values], read: Read) -> int:
        """Steps of a recurrent layer that has these of the unit's instructions; 0 of others."""
        return 0

    def multiplier_blocks(self, config: AcceleratorConfig) -> int:
        """Multiplier blocks of the unit's own, beside those that it borrows."""
        return 0

    @abstractmethod
    def docs(self, table: Table, members: Members) -> str:
        """The unit's part of ``docs/isa.md``, Markdown."""
