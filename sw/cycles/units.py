"""Cycle model: runs of LAYER instructions and those of units between, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.log import Log
from kaniwa.cycles.readers.streams import Read
from kaniwa.errors import ProgramError
from kaniwa.isa import COUNTERS, INSTRUCTION_BYTES, Opcode
from kaniwa.isa.counters import RunStatistics
from kaniwa.program.instruction import Values
from kaniwa.timing import Timing
from kaniwa.units.register import unit_of
from kaniwa.units.unit import Clock, Unit

__all__ = ["model_units"]

GIVEN = 1      # from where an END would end the run to the unit's command
RESUMED = -1   # from the snapshot of the counters to where a run of what follows would begin

Layers = Callable[[Sequence[Values], int], RunStatistics]


def model_units(config: AcceleratorConfig, instructions: Sequence[Values], read: Read,
                outside: Timing, program_address: int, layers: Layers,
                log: Log | None) -> RunStatistics:
    """Counters of ``instructions``, of which some are for units beside the array.

    Everything else has ended before one of those begins, and what follows begins after it; so
    ``layers`` (instructions, program address) models each run of LAYERs between on its own.
    """
    clocks: dict[Unit, Clock] = {}
    total = dict.fromkeys(COUNTERS, 0)
    snapshots: dict[int, dict[str, int]] = {}

    def passes(cycles: int) -> None:
        for name in ("cycles", "fill"):
            total[name] += cycles

    first = 0
    while True:
        place = first
        while place < len(instructions) and instructions[place]["opcode"] == Opcode.LAYER:
            place += 1
        if log:
            log.part(total["cycles"], first)
        run = layers([_renumbered(v, first) for v in instructions[first:place]],
                     program_address + first * INSTRUCTION_BYTES)
        began = dict(total)
        for tag, snapshot in run.snapshots.items():
            snapshots[tag] = {name: began[name] + snapshot[name] for name in COUNTERS}
        if run.snapshots:
            total = dict(max((snapshots[tag] for tag in run.snapshots),
                             key=lambda snapshot: snapshot["cycles"]))
        passes(began["cycles"] + run.cycles - total["cycles"])
        if place == len(instructions):
            if log:
                log.close()
            return RunStatistics(total["cycles"], len(instructions), snapshots)
        v = instructions[place]
        passes(GIVEN)
        unit = unit_of(config, v)
        if unit is None:
            raise ProgramError(f"opcode {v['opcode']} is of no unit that the target has")
        if unit not in clocks:
            clocks[unit] = unit.clock(config, outside, read)
        odd = total["cycles"] % 2 == 0   # the run begins in an odd cycle after reset
        cycles = clocks[unit](v, odd)
        if log:
            log.part(total["cycles"] - GIVEN, place)
            log.unit(unit.command.name.lower(), GIVEN, GIVEN + cycles)
        passes(cycles)
        snapshots[v["tag"]] = dict(total)
        passes(RESUMED)
        first = place + 1


def _renumbered(values: Values, first: int) -> Values:
    """A LAYER counted from instruction ``first`` on; those before are done."""
    return {**values, **{name: max(0, values[name] - first)
                         for name in ("ifm_wait", "operand_wait")}}
