"""The cell unit's record."""

from __future__ import annotations

from collections.abc import Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.sdram import Sdram
from kaniwa.emulator.memory import UnitMemory
from kaniwa.errors import ProgramError
from kaniwa.isa import OUTSIDE
from kaniwa.timing import Timing
from kaniwa.units.cell import isa
from kaniwa.units.cell.command import COMMAND
from kaniwa.units.cell.device import run_sequence
from kaniwa.units.cell.docs import cell_part
from kaniwa.units.cell.timing import sequence_cycles
from kaniwa.units.unit import (
    ARBITER,
    Clock,
    Members,
    Read,
    Runner,
    Span,
    Table,
    Unit,
    Values,
)

__all__ = ["Cell"]


class Cell(Unit):
    """CELL: run the sequence of a descriptor."""

    command = COMMAND

    def illegal(self, config: AcceleratorConfig, values: Values) -> str | None:
        address, size = values["parameter_address"], values["parameter_bytes"]
        if address % config.read_bytes:
            return (f"parameter_address of CELL must be a multiple of {config.read_bytes}, "
                    f"not {address}")
        if size != isa.DESCRIPTOR_BYTES:
            return f"parameter_bytes of CELL must be {isa.DESCRIPTOR_BYTES}, not {size}"
        return None

    def constants(self, values: Values) -> list[Span]:
        return [(values["parameter_address"], values["parameter_bytes"])]

    def emulator(self, config: AcceleratorConfig, memory: UnitMemory) -> Runner:
        return lambda values: run_sequence(memory, values)

    def clock(self, config: AcceleratorConfig, outside: Timing, read: Read) -> Clock:
        def cycles(values: Values, odd: bool) -> int:
            sequence = isa.decode(read(values["parameter_address"], values["parameter_bytes"]))
            problem = isa.illegal(sequence)
            if problem is not None:
                raise ProgramError(problem)
            if outside.chip is not None:
                return sequence_cycles(sequence, config.memory_latency + ARBITER,
                                       chip=Sdram(outside.chip),
                                       descriptor=values["parameter_address"])
            # Weights take most of the cycles, so what counts is where these lie.
            timing = outside if sequence["weight_address"] >= OUTSIDE else Timing.of(config)
            return sequence_cycles(sequence, timing.latency + ARBITER,
                                   max(1, timing.bus_cycles(config.read_bytes)))

        return cycles

    def time_steps(self, instructions: Sequence[Values], read: Read) -> int:
        """Those of all descriptors."""
        return sum(isa.decode(read(values["parameter_address"], values["parameter_bytes"]))["steps"]
                   for values in instructions)

    def multiplier_blocks(self, config: AcceleratorConfig) -> int:
        """For f * c, i * g and o * tanh(c)."""
        return 3

    def docs(self, table: Table, members: Members) -> str:
        return cell_part(table)
