"""Watches a session's steps, and makes a timeline of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from kaniwa.program.program import Program, Step
from kaniwa.program.run_names import InstructionName, instruction_names
from kaniwa.report.states import LAYERS, UNITS_OBSERVED, WORK, state_number, state_words
from kaniwa.report.trace_events import HostSpan, Timeline

__all__ = ["RunTimeline", "WordReader", "flat_entries"]

ARRAY = list(UNITS_OBSERVED).index("array")
SIDE = list(UNITS_OBSERVED).index("units")
# First cycles, cycles, instructions and states of spans.
Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class RunTimeline:
    """The timeline of the inferences that a session does one after the other.

    ``watch`` goes round each step of the session. On ``sim`` this is the device's observer, on the
    emulator the times are those of the cycle model's event record. A step of the host lasts as many
    microseconds as it took on this computer, the device's steps as many as they have cycles.
    """

    def __init__(self, program: Program, device: str) -> None:
        self.timeline = Timeline(device, program.config.name, program.name, state_words())
        self._program = program
        self._now = 0            # where the next step begins
        self._inferences: list[int] = []   # where each begins
        self._base = 0           # the number of the run's first instruction in the timeline
        self._names: list[InstructionName] = []   # of the run
        self._readers: dict[str, WordReader] = {}
        self._cycles = 0         # of the run so far

    @contextmanager
    def watch(self, step: Step) -> Iterator[None]:
        """Follow a step of the session while it is done."""
        if step == self._program.steps[0]:
            self._inferences.append(self._now)
        began = time.perf_counter()
        if step.where == "device":
            self._begin(step)
        yield
        if step.where == "device":
            if self.timeline.device == "emulator":
                self._take_record(step)
            first, cycles = self._now, self._cycles
            name, facts = "device", {"cycles": cycles}
        else:
            first, cycles = self._now, max(1, round((time.perf_counter() - began) * 1e6))
            ops = self._program.host_ops[step.first:step.first + step.count]
            name, facts = ", ".join(op.kind for op in ops), {"microseconds": cycles}
        self.timeline.host.append(HostSpan(name, first, cycles, facts))
        self._now += cycles

    def finished(self) -> Timeline:
        """The timeline, with the inferences round their steps."""
        ends = [*self._inferences[1:], self._now]
        inferences = [HostSpan(f"inference {number}", first, end - first, {})
                      for number, (first, end) in enumerate(
                          zip(self._inferences, ends, strict=True))]
        self.timeline.host[:0] = inferences
        return self.timeline

    def take(self, spans: np.ndarray, levels: np.ndarray) -> None:
        """Spans and levels of a simulated core, of the present run."""
        for number, (unit, counted) in enumerate(UNITS_OBSERVED.items()):
            own = spans[spans["unit"] == number]
            if not len(own):
                continue
            index, state = own["instruction"].astype(np.int64), own["state"].astype(np.int64)
            last = len(self._names) - 1
            if number == ARRAY:   # what is behind the last retirement, as the counters have it
                state[index > last] = state_number("store")
                self._cycles = int(own["first"][-1] + own["cycles"][-1])
            if counted == LAYERS:
                layers = np.flatnonzero([not name.unit for name in self._names])
                index = layers[np.minimum(index, len(layers) - 1)]
            columns = (own["first"].astype(np.int64), own["cycles"].astype(np.int64),
                       np.minimum(index, last), state)
            if unit in self._readers:
                columns = self._readers[unit].name(*columns)
            if number == SIDE:
                self._add_side(columns)
            else:
                self._add(unit, columns)
        if len(levels):
            self.timeline.levels.append((levels["cycle"].astype(np.int64) + self._now,
                                         levels["bytes"].astype(np.int64)))

    def _begin(self, step: Step) -> None:
        """Name the run's instructions."""
        self._names = instruction_names(self._program, step)
        self._base, self._cycles = len(self.timeline.instructions), 0
        self.timeline.instructions += self._names
        # A compact core has one instruction at a time, so nothing of the one before comes late.
        self._readers = {} if self._program.config.compact else {
            unit: WordReader([name.words.get(unit, 0) for name in self._names])
            for unit in ("load", "weights")}

    def _add(self, unit: str, columns: Columns) -> None:
        first, cycles, instruction, state = columns
        self.timeline.track(unit).add(first + self._now, cycles, instruction + self._base, state)

    def _add_side(self, columns: Columns) -> None:
        """Spans of all units beside the array, to the track of each."""
        units = np.array([name.unit for name in self._names])
        for unit in dict.fromkeys(name.unit for name in self._names if name.unit):
            own = units[columns[2]] == unit
            first, cycles, instruction, state = (column[own] for column in columns)
            self._add(unit, (first, cycles, instruction, state))

    def _take_record(self, step: Step) -> None:
        """A run as the event record of the cycle model has it."""
        number = self._program.runs.index(step)
        before = sum(run.count - 1 for run in self._program.runs[:number])
        count = step.count - 1
        present = self._record.instructions[before:before + count]
        begin = present[0].first if present else 0
        self._cycles = sum(entry.cycles for entry in present)
        for unit, (first, cycles, instruction, state) in self._columns.items():
            own = (instruction >= before) & (instruction < before + count)
            if own.any():
                self._add(unit, (first[own] - begin, cycles[own], instruction[own] - before,
                                 state[own]))

    @cached_property
    def _record(self) -> Any:
        from kaniwa.cycles.record import record

        return record(self._program)

    @cached_property
    def _columns(self) -> dict[str, Columns]:
        """The record's spans by unit, with the timeline's states."""
        states = np.array([WORK, *map(state_number, self._record.causes)])
        return {unit: (first, cycles, instruction, states[state]) for unit, (
            first, cycles, instruction, state) in (
                (unit, flat_entries(entries)) for unit, entries in self._record.spans.items())}


class WordReader:
    """Finds whose words a unit reads: the last of an instruction come when the next has begun.

    ``words``: how many each instruction of the run has.
    """

    def __init__(self, words: list[int]) -> None:
        self._ends = np.cumsum(words)
        self._cuts = np.unique(self._ends)
        self._read = 0

    def name(self, first: np.ndarray, cycles: np.ndarray, instruction: np.ndarray,
             state: np.ndarray) -> Columns:
        """The spans with the instructions of their words; a wait is for the next word's."""
        works = state == WORK
        after = self._read + np.cumsum(np.where(works, cycles, 0))
        before = after - np.where(works, cycles, 0)
        self._read = int(after[-1])
        # The words of a span may be of several instructions.
        pieces = (np.searchsorted(self._cuts, after, "left")
                  - np.searchsorted(self._cuts, before, "right"))
        parts = np.maximum(pieces, 0) * works + 1
        if parts.max() > 1:
            first, cycles, before = self._cut(first, cycles, before, parts)
            instruction, state, works = (
                np.repeat(column, parts) for column in (instruction, state, works))
        own = np.minimum(np.searchsorted(self._ends, before, "right"), len(self._ends) - 1)
        return first, cycles, np.where(works, own, np.minimum(own, instruction)), state

    def _cut(self, first: np.ndarray, cycles: np.ndarray, before: np.ndarray,
             parts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Spans cut where the words of an instruction end."""
        pieces: list[tuple[int, int, int]] = []
        for at, length, done, count in zip(first.tolist(), cycles.tolist(), before.tolist(),
                                           parts.tolist(), strict=True):
            place = int(np.searchsorted(self._cuts, done, "right"))
            bounds = [done, *self._cuts[place:place + count - 1].tolist(), done + length]
            pieces += [(at + begin - done, end - begin, begin)
                       for begin, end in pairwise(bounds)]
        table = np.array(pieces, np.int64)
        return table[:, 0], table[:, 1], table[:, 2]


def flat_entries(entries: list[list[Any]]) -> Columns:
    """The entries of an event record without repeats, as columns."""
    parts: list[np.ndarray] = []
    plain: list[list[int]] = []
    for entry in entries:
        if not isinstance(entry[3], list):
            plain.append(entry)
            continue
        parts.append(np.array(plain, np.int64).reshape(-1, 4))
        plain = []
        first, period, count, inner = entry
        block = np.column_stack(flat_entries(inner))
        repeated = np.tile(block, (count, 1))
        repeated[:, 0] += first + np.repeat(np.arange(count) * period, len(block))
        parts.append(repeated)
    parts.append(np.array(plain, np.int64).reshape(-1, 4))
    table = np.concatenate(parts)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]
