"""The vector unit's record."""

from __future__ import annotations

from collections.abc import Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.memory import UnitMemory
from kaniwa.isa import OUTSIDE
from kaniwa.timing import Timing
from kaniwa.units.unit import Clock, Members, Read, Runner, Span, Table, Unit, Values
from kaniwa.units.vector.command import COMMAND
from kaniwa.units.vector.device import DeviceVectorUnit
from kaniwa.units.vector.docs import vector_part
from kaniwa.units.vector.isa import STORE_INSTRUCTIONS, VECTOR_BYTES
from kaniwa.units.vector.trace import VectorTrace

__all__ = ["Vector"]


class Vector(Unit):
    """VECTOR: load a vector program, or none, and run what the store holds."""

    command = COMMAND

    def illegal(self, config: AcceleratorConfig, values: Values) -> str | None:
        unit = max(config.read_bytes, VECTOR_BYTES)
        for name, size in (("parameter_address", config.read_bytes), ("parameter_bytes", unit)):
            if values[name] % size:
                return f"{name} of VECTOR must be a multiple of {size}, not {values[name]}"
        entry, count = values["block_words"], values["parameter_bytes"] // VECTOR_BYTES
        if entry >= STORE_INSTRUCTIONS or entry + count > STORE_INSTRUCTIONS:
            return (f"{count} vector instructions from place {entry} on do not fit a store of "
                    f"{STORE_INSTRUCTIONS}")
        return None

    def constants(self, values: Values) -> list[Span]:
        return [(values["parameter_address"], values["parameter_bytes"])]

    def emulator(self, config: AcceleratorConfig, memory: UnitMemory) -> Runner:
        return DeviceVectorUnit(config, memory).call

    def clock(self, config: AcceleratorConfig, outside: Timing, read: Read) -> Clock:
        trace = VectorTrace(config, outside)

        def cycles(values: Values, odd: bool) -> int:
            address = values["parameter_address"]
            return trace.run(read(address, values["parameter_bytes"]), values["block_words"], odd,
                             address >= OUTSIDE)

        return cycles

    def time_steps(self, instructions: Sequence[Values], read: Read) -> int:
        """A step has two VECTORs; only the first of all loads the program, and one more may come
        behind them."""
        return sum(not values["parameter_bytes"] for values in instructions) // 2

    def docs(self, table: Table, members: Members) -> str:
        return vector_part(table, members)
