"""Counters of an inference from its event record: the cycle model need not run a second time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from kaniwa.cycles.record import EventRecord
from kaniwa.isa import COUNTERS
from kaniwa.isa.counters import RunStatistics
from kaniwa.program.program import Program

__all__ = ["counters_of"]

LOST = COUNTERS[2:]


def counters_of(program: Program, events: EventRecord) -> RunStatistics:
    """What the cycle model's ``estimate`` gives for the ``program`` of the record."""
    states: dict[int, Counter[int]] = {}
    _add(events.spans["array"], 1, states)
    names = {0: "issued", **{number: cause for number, cause in enumerate(events.causes, 1)
                             if cause in LOST}}
    total = dict.fromkeys(COUNTERS, 0)
    snapshots: dict[int, dict[str, int]] = {}
    # An instruction of the record has its layer's tag, which turns of a stack do not count under.
    fields = program.instructions
    tags = [fields[run.first + number]["tag"]
            for run in program.runs for number in range(run.count - 1)]
    for instruction, tag in zip(events.instructions, tags, strict=True):
        total["cycles"] += instruction.cycles
        for state, cycles in states.get(instruction.index, {}).items():
            total[names[state]] += cycles
        snapshots[tag] = dict(total)
    return RunStatistics(events.cycles, len(events.instructions), snapshots)


def _add(entries: Sequence[Sequence[Any]], times: int, states: dict[int, Counter[int]]) -> None:
    """Add the cycles of ``entries``, which come ``times`` times, by instruction and state."""
    for _, second, third, fourth in entries:
        if isinstance(fourth, list):
            _add(fourth, times * third, states)
        else:
            states.setdefault(third, Counter())[fourth] += times * second
