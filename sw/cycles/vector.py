"""Cycle model: runs of LAYER instructions with VECTORs and CELLs between, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.streams import Read
from kaniwa.errors import ProgramError
from kaniwa.isa import COUNTERS, INSTRUCTION_BYTES, OUTSIDE, Opcode
from kaniwa.isa.counters import RunStatistics
from kaniwa.program.instruction import Values
from kaniwa.timing import Timing
from kaniwa.units.cell.isa import decode, illegal
from kaniwa.units.cell.timing import sequence_cycles
from kaniwa.units.vector.trace import ARBITER, VectorTrace

__all__ = ["model_vectors"]

GIVEN = 1      # from where an END would end the run to the vector unit's command
RESUMED = -1   # from the snapshot of the counters to where a run of what follows would begin

Layers = Callable[[Sequence[Values], int], RunStatistics]


def model_vectors(config: AcceleratorConfig, instructions: Sequence[Values], read: Read,
                  outside: Timing, program_address: int, layers: Layers) -> RunStatistics:
    """Counters of ``instructions``, of which some are VECTOR or CELL.

    Everything else has ended before one of those begins, and what follows begins after it; so
    ``layers`` (instructions, program address) models each run of LAYERs between on its own.
    """
    unit = VectorTrace(config, outside)
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
            return RunStatistics(total["cycles"], len(instructions), snapshots)
        v = instructions[place]
        passes(GIVEN)
        code = read(v["parameter_address"], v["parameter_bytes"])
        if v["opcode"] == Opcode.CELL:
            passes(_sequence(config, code, outside))
        else:
            odd = total["cycles"] % 2 == 0   # the run begins in an odd cycle after reset
            passes(unit.run(code, v["block_words"], odd, v["parameter_address"] >= OUTSIDE))
        snapshots[v["tag"]] = dict(total)
        passes(RESUMED)
        first = place + 1


def _sequence(config: AcceleratorConfig, code: bytes, outside: Timing) -> int:
    """Cycles of the cell unit, whose weights take most of them."""
    values = decode(code)
    problem = illegal(values)
    if problem is not None:
        raise ProgramError(problem)
    timing = outside if values["weight_address"] >= OUTSIDE else Timing.of(config)
    return sequence_cycles(values, timing.latency + ARBITER,
                           max(1, timing.bus_cycles(config.read_bytes)))


def _renumbered(values: Values, first: int) -> Values:
    """A LAYER counted from instruction ``first`` on; those before are done."""
    return {**values, **{name: max(0, values[name] - first)
                         for name in ("ifm_wait", "operand_wait")}}
