"""Timeline of a run as trace events, which Perfetto and chrome://tracing show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kaniwa._version import __version__
from kaniwa.program.run_names import InstructionName
from kaniwa.report.unit_track import Spans, UnitTrack

__all__ = ["TIME", "HostSpan", "Timeline", "trace_events"]

TIME = "1 us stands for 1 cycle of the device"
DEVICE, HOST = 1, 2      # processes
MOST_LEVELS = 20_000     # of the line buffer
Timed = tuple[int, int, dict[str, Any]]   # first cycle and order within it, and the event


@dataclass(frozen=True)
class HostSpan:
    """What the host did or waited for, in the file's time."""

    name: str
    first: int
    cycles: int
    facts: dict[str, Any]


@dataclass
class Timeline:
    """All that a file shows. ``states``: words by number; the first two are idle and work.

    ``instructions``: of all runs in turn, which the tracks number. ``levels``: cycles and bytes of
    the line buffer.
    """

    device: str
    target: str
    model: str
    states: Sequence[str]
    instructions: list[InstructionName] = field(default_factory=list)
    tracks: dict[str, UnitTrack] = field(default_factory=dict)
    levels: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    host: list[HostSpan] = field(default_factory=list)

    def track(self, unit: str) -> UnitTrack:
        """The unit's track, a new one the first time."""
        return self.tracks.setdefault(unit, UnitTrack(len(self.states)))


def trace_events(timeline: Timeline) -> bytes:
    """The file: a JSON object with events in the order of time, an outer one before its inner."""
    spans = {unit: track.spans() for unit, track in timeline.tracks.items()}
    shown = [unit for unit in timeline.tracks if len(spans[unit])]
    events = list(_names(timeline, shown))
    timed: list[Timed] = []
    for thread, unit in enumerate(shown, 1):
        timed += _unit_events(timeline, spans[unit], thread)
    timed += _host_events(timeline.host)
    timed += _level_events(timeline.levels)
    timed.sort(key=lambda entry: entry[:2])
    joined = {unit: timeline.tracks[unit].window for unit in shown
              if timeline.tracks[unit].window > 1}
    header = {
        "displayTimeUnit": "ms",
        "otherData": {
            "producer": f"kaniwa {__version__}", "time": TIME, "device": timeline.device,
            "target": timeline.target, "model": timeline.model,
            "joined": {unit: f"what is shorter than {window} cycles"
                       for unit, window in joined.items()}}}
    lines = [json.dumps(event, separators=(",", ":"))
             for event in (*events, *(event for *_, event in timed))]
    text = json.dumps(header)[:-1] + ', "traceEvents": [\n' + ",\n".join(lines) + "\n]}\n"
    return text.encode()


def _names(timeline: Timeline, units: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The processes' and threads' names, and their order."""
    def name(kind: str, process: int, thread: int, **args: Any) -> dict[str, Any]:
        return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": args}

    device = f"device: {timeline.device}, target {timeline.target}"
    for process, text in ((DEVICE, device), (HOST, "host")):
        yield name("process_name", process, 0, name=text)
        yield name("process_sort_index", process, 0, sort_index=process)
    for thread, unit in enumerate(units, 1):
        yield name("thread_name", DEVICE, thread, name=unit)
        yield name("thread_sort_index", DEVICE, thread, sort_index=thread)
    yield name("thread_name", HOST, 1, name="steps")


def _event(name: str, place: tuple[int, int], first: int, cycles: int,
           facts: dict[str, Any]) -> dict[str, Any]:
    process, thread = place
    return {"name": name, "ph": "X", "pid": process, "tid": thread, "ts": first, "dur": cycles,
            "args": facts}


def _unit_events(timeline: Timeline, spans: Spans,
                 thread: int) -> Iterator[Timed]:
    """A span for each instruction, and in it those of work and of waits."""
    if not len(spans):
        return
    begins = np.flatnonzero(np.diff(spans.instruction, prepend=-1))
    ends = np.append(begins[1:], len(spans))
    place = (DEVICE, thread)
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        name = timeline.instructions[int(spans.instruction[begin])]
        first = int(spans.first[begin])
        cycles = int(spans.after[end - 1]) - first
        counts = _counts(timeline.states, spans.cycles[begin:end].sum(axis=0))
        yield first, -cycles, _event(name.layer, place, first, cycles, {
            "operator": name.operator, "instruction": name.index, "tag": name.tag,
            "cycles": counts})
    for first, after, counted in zip(spans.first.tolist(), spans.after.tolist(), spans.cycles,
                                     strict=True):
        states = np.flatnonzero(counted)
        if len(states) == 1 and counted[states[0]] == after - first:
            text, facts = _name(timeline.states, int(states[0])), {}
        else:
            text, facts = "joined", {"cycles": _counts(timeline.states, counted)}
        # Inside the instruction's span also where that is no longer.
        yield first, 1 - (after - first), _event(text, place, first, after - first, facts)


def _name(states: Sequence[str], state: int) -> str:
    return states[state] if state == 1 else f"wait: {states[state]}"


def _counts(states: Sequence[str], counted: np.ndarray) -> dict[str, int]:
    return {states[i]: int(counted[i]) for i in np.flatnonzero(counted).tolist()}


def _host_events(spans: Sequence[HostSpan]) -> Iterator[Timed]:
    for span in spans:
        yield span.first, -span.cycles, _event(span.name, (HOST, 1), span.first, span.cycles,
                                               span.facts)


def _level_events(levels: Sequence[tuple[np.ndarray, np.ndarray]]) -> Iterator[Timed]:
    """Bytes in the line buffer, as a counter."""
    if not levels:
        return
    cycles, held = (np.concatenate([part[i] for part in levels]) for i in range(2))
    step = -(-len(cycles) // MOST_LEVELS) or 1
    for cycle, value in zip(cycles[::step].tolist(), held[::step].tolist(), strict=True):
        yield cycle, 0, {"name": "line buffer", "ph": "C", "pid": DEVICE, "ts": cycle,
                         "args": {"bytes": value}}
