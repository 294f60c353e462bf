"""The emulator: executes a program's command stream in NumPy, on the memory map of the core."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kaniwa import isa
from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.model import model_run
from kaniwa.emulator.checks import check_instruction
from kaniwa.emulator.hazards import HazardCheck
from kaniwa.emulator.layer import PreparedLayer
from kaniwa.emulator.memory import EmulatedMemory, Fault, UnitMemory
from kaniwa.emulator.prepare import Tables, prepare
from kaniwa.errors import DeviceError, ProgramError
from kaniwa.isa import INSTRUCTION_BYTES, Opcode
from kaniwa.isa.counters import RunStatistics
from kaniwa.program.instruction import Values, pixels
from kaniwa.stage import Stage
from kaniwa.timing import Timing
from kaniwa.units.register import unit_of
from kaniwa.units.unit import Runner, Unit

__all__ = ["Emulator"]

Span = tuple[int, int]  # first address, one past the last


@dataclass(frozen=True, eq=False)
class _Computed:
    """A LAYER whose weights or parameters the program itself writes: decoded in each run.

    ``layer`` is what they were before, ``tables`` those that are there by then.
    """

    layer: PreparedLayer
    tables: Tables

    @property
    def values(self) -> Values:
        """The instruction's fields."""
        return self.layer.values


@dataclass(frozen=True, eq=False)
class _OfUnit:
    """An instruction of a unit beside the array."""

    unit: Unit
    values: Values


Step = PreparedLayer | _Computed | _OfUnit


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A decoded program; ``source`` are the addresses it was decoded from, once or in each run.

    ``overwrites_itself``: it writes what was decoded once.
    """

    steps: list[Step]
    source: list[Span]
    overwrites_itself: bool
    statistics: RunStatistics


class Emulator:
    """A core of ``config`` with its memory.

    ``outside`` names the outside memory ("ideal", "sdram,..."), None or "none" stands for no such
    memory; its timing is in the cycles. A program is decoded at its first run and kept until one
    of the bytes it was made of is written.
    """

    def __init__(self, config: AcceleratorConfig, outside: str | None = None) -> None:
        self.config = config
        self._outside = outside not in (None, "none")
        self._timing = Timing.of(config, outside)
        self._memory = EmulatedMemory(config, self._outside)
        self._programs: dict[int, _Prepared] = {}

    def write(self, address: int, data: bytes) -> None:
        """Write ``data`` from ``address`` on. Raises DeviceError beyond the memory."""
        span = (address, address + len(data))
        self._programs = {start: program for start, program in self._programs.items()
                          if not _overlap(program.source, span)}
        try:
            self._memory.view(address, len(data))[:] = memoryview(data)
        except Fault as fault:
            raise DeviceError(f"write: {fault.code.name}: {fault}") from None

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes from ``address`` on. Raises DeviceError beyond the memory."""
        try:
            return self._memory.view(address, length).tobytes()
        except Fault as fault:
            raise DeviceError(f"read: {fault.code.name}: {fault}") from None

    def run(self, program_address: int,
            progress: Callable[[str], None] = lambda text: None) -> RunStatistics:
        """Execute from ``program_address`` to END; the cycles are the cycle model's.

        ``progress`` is told of each instruction.
        Raises DeviceError with the ErrorCode's name and the instruction's index.
        """
        began = time.perf_counter()
        program = self._programs.get(program_address) or self._prepare(program_address)
        memory = UnitMemory(self._memory, program.source)
        runners: dict[Unit, Runner] = {}
        for index, step in enumerate(program.steps):
            progress(Stage(f"instruction {index + 1} of {len(program.steps)}", index,
                           len(program.steps), "instructions", short="", steady=False))
            try:
                if isinstance(step, PreparedLayer):
                    step.run(self._memory)
                elif isinstance(step, _Computed):
                    prepare(self.config, self._memory, step.values, step.tables).run(self._memory)
                else:
                    if step.unit not in runners:
                        runners[step.unit] = step.unit.emulator(self.config, memory)
                    runners[step.unit](step.values)
            except Fault as fault:
                raise _device_error(index, fault) from None
        if program.overwrites_itself:
            del self._programs[program_address]
        statistics = program.statistics
        return RunStatistics(statistics.cycles, statistics.retired, statistics.snapshots,
                             time.perf_counter() - began)

    def _prepare(self, program_address: int) -> _Prepared:
        hazards = HazardCheck(self.config, self._outside, program_address)
        steps: list[Step] = []
        tables: Tables = {}
        while True:
            index = len(steps)
            address = program_address + index * INSTRUCTION_BYTES
            try:
                values = isa.decode(self._memory.view(address, INSTRUCTION_BYTES).tobytes())
                if values["opcode"] == Opcode.END:
                    hazards.finish()
                    break
                check_instruction(self.config, values)
                computed = hazards.add(values)
                steps.append(self._step(values, computed, tables, steps[-1] if steps else None))
            except Fault as fault:
                raise _device_error(index, fault) from None
        streams = [_streams(step) for step in steps]
        program = (program_address, address + INSTRUCTION_BYTES)
        once = [program, *(span for step, spans in zip(steps, streams, strict=True)
                           if not isinstance(step, _Computed) for span in spans)]
        try:
            statistics = model_run(
                self.config, [step.values for step in steps],
                lambda address, length: self._memory.view(address, length).tobytes(),
                self._timing, program_address)
        except ProgramError:   # a unit's program with a fault, at which the run will end
            statistics = RunStatistics(0, 0, {})
        overwrites = any(_overlap(once, _stored(step)) for step in steps
                         if isinstance(step, (PreparedLayer, _Computed)))
        prepared = _Prepared(steps, [program, *(span for spans in streams for span in spans)],
                             overwrites, statistics)
        self._programs[program_address] = prepared
        return prepared

    def _step(self, values: Values, computed: bool, tables: Tables, before: Step | None) -> Step:
        """The next instruction, decoded; ``computed``: it reads a stream that the program writes.
        """
        unit = unit_of(self.config, values)
        if unit is not None:
            for address, size in unit.constants(values):
                self._memory.view(address, size)
            return _OfUnit(unit, values)
        layer = prepare(self.config, self._memory, values, tables)
        if isinstance(before, _Computed):
            before = before.layer
        # With one bank, instructions do not overlap.
        if isinstance(before, PreparedLayer) and self.config.table_banks > 1:
            _check_table_banks(before, layer)
        if not computed:
            return layer
        if layer.loaded_tables:
            raise Fault(isa.ErrorCode.ILLEGAL_FIELD, "a stream that the program writes brings a "
                                                     "table, which only constant ones may")
        return _Computed(layer, dict(tables))


def _streams(step: Step) -> list[Span]:
    """Places of the instruction's parameters and weights, or of the constants of a unit's."""
    values = step.values
    spans = step.unit.constants(values) if isinstance(step, _OfUnit) else [
        (values[f"{which}_address"], values[f"{which}_bytes"])
        for which in ("parameter", "weight")]
    return [(start, start + size) for start, size in spans]


def _check_table_banks(before: PreparedLayer, layer: PreparedLayer) -> None:
    """A table may be replaced while the instruction before is still being requantized."""
    bank = before.values["table_bank"] << 1
    used = {bank} if before.table is not None else set()
    if before.operand_table is not None:
        used.add(bank | 1)
    if used & layer.loaded_tables:
        raise Fault(isa.ErrorCode.ILLEGAL_FIELD,
                    f"bank {bank >> 1} of the tables is loaded while the instruction before "
                    "uses it")


def _stored(layer: PreparedLayer | _Computed) -> Span:
    address, shape, pitches = pixels(layer.values, "ofm")
    return address, address + 1 + sum((n - 1) * p for n, p in zip(shape, pitches, strict=True))


def _overlap(spans: Sequence[Span], other: Span) -> bool:
    return any(start < other[1] and other[0] < end for start, end in spans)


def _device_error(index: int, fault: Fault) -> DeviceError:
    return DeviceError(f"the device ended the run: {fault.code.name} at instruction {index}: "
                       f"{fault}")
