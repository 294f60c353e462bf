"""The host's record of COPY: what it does, and in how many cycles."""

from __future__ import annotations

from builders.own_unit.command import COMMAND
from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.memory import Fault, UnitMemory
from kaniwa.isa import OUTSIDE, ErrorCode
from kaniwa.timing import Timing
from kaniwa.units.unit import ARBITER, Clock, Members, Read, Runner, Span, Table, Unit, Values

__all__ = ["Copy"]

START, WORD = 1, 2     # cycles until the first request, and of a word beside the memory's latency


class Copy(Unit):
    """COPY: ``parameter_bytes`` bytes go to ``ofm_address``, word by word; none is a fault."""

    command = COMMAND

    def illegal(self, config: AcceleratorConfig, values: Values) -> str | None:
        for name in COMMAND.fields:
            if values[name] % config.read_bytes:
                return (f"{name} of COPY must be a multiple of {config.read_bytes}, "
                        f"not {values[name]}")
        return None

    def reads(self, values: Values) -> list[Span]:
        return [(values["parameter_address"], values["parameter_bytes"])]

    def writes(self, values: Values) -> list[Span]:
        return [(values["ofm_address"], values["parameter_bytes"])]

    def emulator(self, config: AcceleratorConfig, memory: UnitMemory) -> Runner:
        def copy(values: Values) -> None:
            size = values["parameter_bytes"]
            if not size:
                raise Fault(ErrorCode.VECTOR, "COPY of no bytes")
            found = memory.view(values["parameter_address"], size).copy()
            memory.writable(values["ofm_address"], size)[:] = found

        return copy

    def clock(self, config: AcceleratorConfig, outside: Timing, read: Read) -> Clock:
        def cycles(values: Values, odd: bool) -> int:
            timing = outside if values["parameter_address"] >= OUTSIDE else Timing.of(config)
            words = values["parameter_bytes"] // config.read_bytes
            return START + words * (WORD + timing.latency + ARBITER)

        return cycles

    def docs(self, table: Table, members: Members) -> str:
        return "## Copies\n\n" + table(("field", "of COPY"), [
            (f"`{name}`", "a multiple of `read_bytes`") for name in COMMAND.fields])
