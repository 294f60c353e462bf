"""Cycle model: the cycles of a run, from the instructions and the blocks of their weight streams.

The array (``cycle_array``) is gone through block by block. Where a step needs what is not known
yet, the memory (``cycle_memory``) takes reads and writes in the order of time until it is: all
that they depend on comes from steps before it. Results go on through the post unit
(``cycle_results``) and the store unit (``cycle_store``) as far as is known. The cycles are the
core's own, but for random stalls.
"""

from __future__ import annotations

from collections.abc import Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.array import Array
from kaniwa.cycles.compact.layers import model_compact
from kaniwa.cycles.events import Events
from kaniwa.cycles.log import Log
from kaniwa.cycles.lost import counters_at, lost_cycles
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.readers.commands import Commands
from kaniwa.cycles.readers.load import Load
from kaniwa.cycles.readers.operand import OperandPath
from kaniwa.cycles.readers.streams import Read
from kaniwa.cycles.readers.weights import WeightPath
from kaniwa.cycles.results import Results
from kaniwa.cycles.steady import Steady
from kaniwa.cycles.units import model_units
from kaniwa.isa import Opcode
from kaniwa.isa.counters import RunStatistics
from kaniwa.program.instruction import Values
from kaniwa.timing import Timing

__all__ = ["model_run"]

# From the last item of a weight stream to where a unit beside the array may begin: it is written,
# and the sequencer hears that all are at rest.
WEIGHTS_AT_REST = 4


def model_run(config: AcceleratorConfig, instructions: Sequence[Values],
              read: Read | None = None, outside: Timing | None = None,
              program_address: int = 0, log: Log | None = None,
              stepping: bool = True) -> RunStatistics:
    """Counters of a run of ``instructions``; issued and lost add up to the cycles.

    ``read`` gives the program's constants (address, length): the formats of the weight streams are
    guessed without it. ``outside``: timing of outside memory, ideal by default. ``log`` is told
    what the units do. Without ``stepping`` no row is left out: the same, but slower.
    """
    outside = outside or Timing.of(config)
    if config.compact:
        return model_compact(config, instructions, read, outside, program_address, log, stepping)

    def layers(part: Sequence[Values], address: int) -> RunStatistics:
        return _model_layers(config, part, read, outside, address, log, stepping)

    if all(v["opcode"] == Opcode.LAYER for v in instructions):
        return layers(instructions, program_address)
    if read is None:
        raise ValueError("a unit takes as long as its program says, and there is none")
    return model_units(config, instructions, read, outside, program_address, layers, log)


def _model_layers(config: AcceleratorConfig, instructions: Sequence[Values], read: Read | None,
                  outside: Timing, program_address: int, log: Log | None,
                  stepping: bool) -> RunStatistics:
    """A run of LAYER instructions only."""
    events = Events(watermarks=[([], []) for _ in instructions], log=log,
                    rows=[v["ofm_rows"] for v in instructions], shifts=[0] * len(instructions))
    if log:
        log.tell(events.cuts)
    commands = Commands(config, len(instructions), events, program_address)
    operand = OperandPath(config, instructions, events)
    load = Load(config, instructions, events)
    weights = WeightPath(config, instructions, events, read)
    memory = MemoryTimeline(config, outside, events,
                    (commands, operand, load, weights))
    results = Results(config, instructions, events, memory, operand, weights)
    steady = Steady(instructions, events, memory, (commands, operand, load, weights), results,
                    config.line_bytes) if stepping else None
    array = Array(config, instructions, events, memory, results, steady, read)
    for index in range(len(instructions)):
        array.run(index)
    memory.finish()
    writes, end = results.store.writes, array.end + events.skipped
    # Weights end before results, but for the tables of what follows a unit's command.
    cycles = max((writes[-1] if writes else 0) + 3, commands.end_fetched + 2,
                 weights.end + WEIGHTS_AT_REST)
    idle = lost_cycles(array.idle, array.gather.lacking, events.waits, results.store.held_back)
    if log:
        log.lose("fill", -1, 0)
        log.lose_all(idle)
        log.lose("fill", end + 1, writes[-1] + 1 if writes else 0)
        for write in writes:
            log.retire(write + 2)
        log.close()
    return RunStatistics(cycles, len(instructions),
                         counters_at(instructions, idle, end, writes))
