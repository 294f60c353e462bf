"""Event record: what each unit does and waits for in an inference, as the cycle model has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kaniwa.cycles.folding import Entry, entries_of
from kaniwa.cycles.log import CAUSES, STATES, Log, Spans
from kaniwa.cycles.model import model_run
from kaniwa.errors import ProgramError
from kaniwa.isa import UNITS
from kaniwa.program.program import Program
from kaniwa.timing import Timing
from kaniwa.units.register import units_of

__all__ = ["CAUSES", "FORMAT", "VERSION", "EventRecord", "Instruction", "record"]

FORMAT, VERSION = "kaniwa.events", 1

@dataclass(frozen=True)
class Instruction:
    """One of the device, in order: its layer, and from the end of the one before to its own."""

    index: int
    tag: int
    name: str
    op: str
    first: int
    cycles: int


@dataclass(frozen=True)
class EventRecord:
    """Work and waits of all units in all runs of an inference, in turn.

    ``spans``: for each unit entries ``[first, cycles, instruction, state]``; state 0 is work, s is
    a wait for ``causes[s - 1]``. An entry ``[first, period, count, [entry, ...]]`` repeats others,
    whose firsts are relative, every ``period`` cycles. Entries are in order and do not overlap.
    The array's work and waits of an instruction are its counters.
    """

    target: str
    model: str
    cycles: int
    causes: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    spans: dict[str, list[Entry]]

    @property
    def units(self) -> tuple[str, ...]:
        """The units, in the order of the data."""
        return tuple(self.spans)

    def as_json(self) -> str:
        """The record as a line of JSON."""
        return json.dumps({
            "format": FORMAT, "version": VERSION, "target": self.target, "model": self.model,
            "cycles": self.cycles, "causes": self.causes, "units": self.units,
            "instructions": [asdict(v) for v in self.instructions], "spans": self.spans,
        }, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> EventRecord:
        """The record from ``as_json``; raises ProgramError for anything else."""
        try:
            values = json.loads(text)
            known = isinstance(values, dict) and values["format"] == FORMAT
            version = values["version"] if known else None
        except (ValueError, KeyError, RecursionError) as error:
            raise ProgramError("event record: damaged, it is not the JSON that kaniwa writes; "
                               "make it anew") from error
        if not known:
            raise ProgramError(f"event record: its format is not '{FORMAT}'; make it anew")
        if version != VERSION:
            raise ProgramError(f"event record: version {version!r} is not the known {VERSION}; "
                               f"make it anew with this kaniwa")
        try:
            made = cls(values["target"], values["model"], values["cycles"],
                       tuple(values["causes"]),
                       tuple(Instruction(**v) for v in values["instructions"]),
                       {unit: values["spans"][unit] for unit in values["units"]})
            made._check()
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProgramError(f"event record: damaged ({type(error).__name__}); "
                               f"make it anew") from error
        return made

    def _check(self) -> None:
        """Raise ValueError for what is no record."""
        texts = (self.target, self.model, *self.causes, *self.spans)
        numbers: list[Any] = [self.cycles]
        for v in self.instructions:
            texts += (v.name, v.op)
            numbers += [v.index, v.tag, v.first, v.cycles]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a name that is none")
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("a number that is none")
        for entries in self.spans.values():
            self._end(entries, 0)

    def _end(self, entries: list[Entry], at: int) -> int:
        """First cycle after ``entries``, none of which may begin before ``at``."""
        for first, second, third, fourth in entries:
            inner = isinstance(fourth, list)
            if not all(type(number) is int and number >= 0 for number in (
                    first, second, third, 0 if inner else fourth)) or first < at:
                raise ValueError("an entry that is none")
            if inner:
                end = self._end(fourth, 0)
                if end > second or not third:
                    raise ValueError("a repeat that overlaps")
                at = first + (third - 1) * second + end
            else:
                if fourth > len(self.causes) or third >= len(self.instructions):
                    raise ValueError("an entry of nothing")
                at = first + second
        return at

    def flat(self, unit: str) -> Iterator[tuple[int, int, int, int]]:
        """All of a unit's entries (first, cycles, instruction, state), without repeats."""
        return _flat(self.spans[unit], 0)


def _flat(entries: list[Entry], at: int) -> Iterator[tuple[int, int, int, int]]:
    for first, second, third, fourth in entries:
        if isinstance(fourth, list):
            for number in range(third):
                yield from _flat(fourth, at + first + number * second)
        else:
            yield at + first, second, third, fourth


def record(program: Program) -> EventRecord:
    """The event record of an inference, all runs of it, as the cycle model expects it."""
    timing = Timing.of(program.config, program.outside)
    names = {index: layer for layer in program.layers for index in layer.instructions}
    done: list[Instruction] = []
    units = ("commands", *UNITS, *(unit.command.name.lower() for unit in units_of(program.config)))
    spans: dict[str, list[Spans]] = {unit: [] for unit in units}
    begin = 0
    for run in program.runs:
        log, first = Log(), len(done)
        part = program.instructions[run.first:run.first + run.count - 1]
        cycles = model_run(program.config, part, program.read, timing,
                           program.address_of(run), log).cycles
        ends = [begin + cycle for cycle in log.retired]
        if ends:
            ends[-1] = begin + cycles
        for number, (at, end) in enumerate(pairwise([begin, *ends])):
            layer = names[run.first + number]
            done.append(Instruction(first + number, layer.tag, layer.name, layer.op, at, end - at))
        for unit, track in log.tracks.items():
            own = _array(log, cycles) if unit == "array" else track.spans()
            spans[unit].append(own._replace(
                first=own.first + begin, after=own.after + begin,
                instruction=np.minimum(own.instruction + first, len(done) - 1)))    # the END's
        begin += cycles
    return EventRecord(program.config.name, program.name, begin, CAUSES, tuple(done),
                       {unit: entries_of(_in_turn(own)) for unit, own in spans.items()})


def _in_turn(parts: Sequence[Spans]) -> Spans:
    """Spans one after the other as one."""
    repeats, count = [], 0
    for part in parts:
        repeats += [repeat._replace(first=repeat.first + count, after=repeat.after + count)
                    for repeat in part.repeats]
        count += len(part.first)
    first, after, instruction, state = (
        np.concatenate([np.zeros(0, np.int64), *(part[column] for part in parts)])
        for column in range(4))
    return Spans(first, after, instruction, state, repeats)


def _array(log: Log, cycles: int) -> Spans:
    """Work and waits of the array, of the instruction that the counters give them to."""
    lost, retired = log.lost.spans(), np.array(log.retired, np.int64)
    # The cycles behind the last retirement are the last instruction's.
    tail = ((log.retired[-1], cycles, STATES["store"]) if log.retired
            else (0, cycles, STATES["fill"]))
    edges = np.concatenate(([0], np.stack((lost.first, lost.after), 1).ravel(), tail[:2]))
    states = np.concatenate((np.stack((np.zeros_like(lost.state), lost.state), 1).ravel(),
                             [0, tail[2]]))
    first = np.unique(np.concatenate((edges[:-1], retired)))
    first = first[(first >= 0) & (first < cycles)]
    piece = np.searchsorted(edges, first, "right") - 1
    number = np.minimum(np.searchsorted(retired, first, "right"), max(0, len(retired) - 1))
    return Spans(first, np.append(first[1:], cycles)[:len(first)], number, states[piece], [])
