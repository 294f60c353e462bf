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
from kaniwa.cycles.array import Array, Idle
from kaniwa.cycles.commands import Commands
from kaniwa.cycles.compact import model_compact
from kaniwa.cycles.events import Events
from kaniwa.cycles.load import Load
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.operand import OperandPath
from kaniwa.cycles.results import Results
from kaniwa.cycles.streams import Read
from kaniwa.cycles.units import model_units
from kaniwa.cycles.weights import WeightPath
from kaniwa.isa import COUNTERS, Opcode
from kaniwa.isa.counters import RunStatistics
from kaniwa.program.instruction import Values
from kaniwa.timing import Timing

__all__ = ["model_run"]


def model_run(config: AcceleratorConfig, instructions: Sequence[Values],
              read: Read | None = None, outside: Timing | None = None,
              program_address: int = 0) -> RunStatistics:
    """Counters of a run of ``instructions``; issued and lost add up to the cycles.

    ``read`` gives the program's constants (address, length): the formats of the weight streams are
    guessed without it. ``outside``: timing of outside memory, ideal by default.
    """
    if config.compact:
        return model_compact(config, instructions, read)
    outside = outside or Timing.of(config)

    def layers(part: Sequence[Values], address: int) -> RunStatistics:
        return _model_layers(config, part, read, outside, address)

    if all(v["opcode"] == Opcode.LAYER for v in instructions):
        return layers(instructions, program_address)
    if read is None:
        raise ValueError("a unit takes as long as its program says, and there is none")
    return model_units(config, instructions, read, outside, program_address, layers)


def _model_layers(config: AcceleratorConfig, instructions: Sequence[Values], read: Read | None,
                  outside: Timing, program_address: int) -> RunStatistics:
    """A run of LAYER instructions only."""
    events = Events(watermarks=[([], []) for _ in instructions])
    commands = Commands(config, len(instructions), events, program_address)
    operand = OperandPath(config, instructions, events)
    weights = WeightPath(config, instructions, events, read)
    memory = MemoryTimeline(config, outside, events,
                    (commands, operand, Load(config, instructions, events), weights))
    results = Results(config, instructions, events, memory, operand, weights)
    array = Array(config, instructions, events, memory, results)
    for index in range(len(instructions)):
        array.run(index)
    memory.finish()
    writes = results.store.writes
    cycles = max((writes[-1] if writes else 0) + 3, commands.end_fetched + 2)
    idle = _split(array.idle, "gather", "load", array.gather.lacking)
    idle = [part._replace(cause="fill") if part.cause == "gather" else part for part in idle]
    idle = _split(_split(idle, "load", "dependency", events.waits),
                  "requantize", "store",
                  # A cycle without a step is counted one later.
                  [(first - 1, after - 1) for first, after in results.store.held_back])
    return RunStatistics(cycles, len(instructions),
                         _snapshots(instructions, idle, array.end, writes))


def _split(idle: Sequence[Idle], cause: str, other: str,
           spans: Sequence[tuple[int, int]]) -> list[Idle]:
    """Of what is lost to ``cause``, the part within ``spans`` is lost to ``other``."""
    parts, position = [], 0
    for part in idle:
        if part.cause != cause:
            parts.append(part)
            continue
        end = part.first + part.cycles
        while position < len(spans) and spans[position][1] <= part.first:
            position += 1
        at, index = part.first, position
        while at < end:
            first, after = spans[index] if index < len(spans) else (end, end)
            index += 1
            for until, name in ((first, cause), (after, other)):
                until = min(until, end)
                if until > at:
                    parts.append(Idle(at, until - at, name))
                    at = until
    return parts


def _snapshots(instructions: Sequence[Values], idle: Sequence[Idle], end: int,
               writes: Sequence[int]) -> dict[int, dict[str, int]]:
    """The counters as they stood when each instruction retired, by tag.

    They stand two cycles after the last write, and see the array's cycles one later.
    """
    snapshots = {}
    lost = dict.fromkeys(COUNTERS[2:], 0)
    position = 0
    begun: list[Idle] = []
    for v, write in zip(instructions, writes, strict=True):
        while position < len(idle) and idle[position].first <= write:
            begun.append(idle[position])
            position += 1
        now = dict(lost)
        unfinished = []
        for part in begun:
            if part.first + part.cycles <= write + 1:
                lost[part.cause] += part.cycles
                now[part.cause] += part.cycles
            else:
                unfinished.append(part)
                now[part.cause] += min(part.cycles, write + 1 - part.first)
        begun = unfinished
        now["fill"] += 1 + max(0, write - end)
        snapshots[v["tag"]] = {
            "cycles": write + 2, "issued": write + 2 - sum(now.values()), **now}
    return snapshots
