"""One run of a report: a model on a target, with all figures that the page shows of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kaniwa.cycles.record import record
from kaniwa.driver.link_time import link_time
from kaniwa.isa import COUNTERS, INSTRUCTION_BYTES, Opcode
from kaniwa.program.layer_labels import layer_labels
from kaniwa.program.program import LayerInfo, Program
from kaniwa.program.summary import summary
from kaniwa.report.accesses import READS, Access, accesses
from kaniwa.report.counted import counters_of
from kaniwa.report.flow import Row, edges, rows_of
from kaniwa.report.memory_map import memory_map
from kaniwa.report.weight_bytes import CAUSES, weight_bytes
from kaniwa.timing import Timing
from kaniwa.units.register import unit_of

__all__ = ["LOST", "Clock", "Parts", "fitting_run", "unfit_run"]

LOST = COUNTERS[2:]    # the causes of lost cycles
ESTIMATED = "estimate"

Values = dict[str, Any]


@dataclass(frozen=True)
class Clock:
    """The clock that makes milliseconds of cycles, and where it comes from.

    ``board``: name and title of a board, where one was asked for, and ``pace``: bytes a second of
    its line.
    """

    mhz: float
    note: str
    board: tuple[str, str] | None = None
    pace: int | None = None


@dataclass(frozen=True)
class Parts:
    """What a run may have beside its program: all optional.

    ``counted``: what ``kaniwa run --json`` printed. ``accuracy``: of labelled data.
    ``outside_added``: the model fits only with the outside memory that was added unasked; ``why``
    says what it needs.
    """

    counted: Mapping[str, Any] | None = None
    accuracy: Mapping[str, Any] | None = None
    outside_added: bool = False
    why: str = ""


def unfit_run(model: str, config: Any, clock: Clock, why: str, needed: int | None) -> Values:
    """A run of a model that cannot be compiled for the target: what is known without a program."""
    return _head(model, config, clock) | {
        "fits": False, "why": why, "totals": {"memory_bytes": needed}, "layers": [], "edges": [],
        "memory": [], "bits": None, "events": None, "accuracy": None, "link": None,
        "source": ESTIMATED, "cycles_by_cause": None, "counted": None}


def fitting_run(program: Program, clock: Clock, parts: Parts) -> Values:
    """All figures of a program; cycles are estimates unless a counted run is given."""
    events = record(program)
    facts = summary(program, counters_of(program, events))
    rows, found = rows_of(program), accesses(program)
    constants, of_layers = weight_bytes(program, found)
    layers = _layers(program, rows, facts["layers"], found, of_layers)
    counted = _counted(parts.counted, layers, facts)
    cycles = facts["cycles"]
    return _head(program.name, program.config, clock) | {
        "fits": True, "why": parts.why, "outside_added": parts.outside_added,
        "source": counted["device"] if counted and counted["has_counters"] else ESTIMATED,
        "counted": counted,
        "totals": {
            "cycles": cycles, "milliseconds": cycles / clock.mhz / 1e3,
            "issued": sum(layer["issued"] for layer in layers),
            **{name: facts[name] for name in (
                "macs", "removed_macs", "utilization", "memory_bytes", "outside_bytes", "outside",
                "weight_bytes", "bits_per_weight")},
            "weights": program.weights,
            "instructions": len(program.commands) // INSTRUCTION_BYTES,
            "host_operators": len(program.host_ops), "host_segments": facts["host_segments"]},
        "cycles_by_cause": _by_cause(layers),
        "layers": layers, "edges": edges(program, rows, found),
        "memory": memory_map(program, rows, found),
        "bits": {"weights": program.weights, "bytes": {
            cause: constants[cause] for cause in CAUSES if constants[cause]}},
        "link": _link(program, clock), "events": json.loads(events.as_json()),
        "accuracy": parts.accuracy,
    }


def _head(model: str, config: Any, clock: Clock) -> Values:
    """What every run has: names, the target's figures, and the clock."""
    outside = Timing.of(config, "sdram")
    return {
        "model": model, "target": config.name, "config_hash": config.hash, "before": False,
        "config": config.as_dict(), "multipliers": config.multipliers,
        "available_bytes": config.memory_bytes,
        "roofs": {"macs_per_cycle": config.multipliers, "bytes_per_cycle": config.read_bytes,
                  "outside_bytes_per_cycle": min(config.read_bytes, outside.bus_bytes)},
        "clock": {"mhz": clock.mhz, "note": clock.note,
                  "board": clock.board and {"name": clock.board[0], "title": clock.board[1]}},
        "causes": list(LOST),
    }


def _link(program: Program, clock: Clock) -> Values | None:
    """Time of an inference's bytes on the board's line; None without a board."""
    if clock.pace is None:
        return None
    line = link_time(program, clock.pace)
    return {"milliseconds": 1e3 * line.seconds, "load_milliseconds": 1e3 * line.load_seconds,
            "input_bytes": line.input_bytes, "output_bytes": line.output_bytes,
            "bytes_per_second": clock.pace}


def _by_cause(layers: Sequence[Values]) -> Values:
    total = Counter[str]()
    for layer in layers:
        total.update({"issued": layer["issued"], **layer["lost"]})
    return {cause: total[cause] for cause in ("issued", *LOST) if total[cause]}


def _layers(program: Program, rows: Sequence[Row], facts: Sequence[Values],
            found: Sequence[Access], constants: Sequence[Counter[str]]) -> list[Values]:
    """A row each, in the order of execution."""
    labels = layer_labels([row["name"] for row in facts], 48)
    instructions = program.instructions
    moved: dict[int, Counter[str]] = {}
    for access in found:
        moved.setdefault(access.layer, Counter())[access.kind] += access.moved
    layers, first = [], 0
    for number, (row, fact, label) in enumerate(zip(rows, facts, labels, strict=True), 1):
        lost = {cause: fact["lost"][cause] for cause in LOST if fact["lost"].get(cause)}
        removed = fact["removed"].get("macs", 0)
        values = {
            "number": number, "label": label, **{name: fact[name] for name in (
                "name", "op", "kernel", "shape", "why", "runtime", "macs", "cycles", "utilization",
                "steps")},
            "where": "host", "removed_macs": removed, "first": first, "lost": lost,
            "issued": fact["cycles"] - sum(lost.values()), "instructions": [], "bytes": None,
            "constants": {}, "fused": fact["op"].split("+")[1:]}
        if isinstance(row.work, LayerInfo):
            own = row.work.instructions
            units = dict.fromkeys(_unit(program, instructions[i]) for i in own)
            bytes_moved = moved.get(row.position, Counter())
            values |= {
                "where": "+".join(units) or "array", "instructions": [own[0], own[-1], len(own)],
                # What a unit's program moves is not in the fields.
                "bytes": None if set(units) - {"array"} else {
                    kind: bytes_moved[kind] for kind in (*READS, "output") if bytes_moved[kind]},
                "constants": {cause: constants[row.position][cause] for cause in CAUSES
                              if constants[row.position][cause]}}
        first += fact["cycles"]
        layers.append(values)
    return layers


def _unit(program: Program, values: Mapping[str, int]) -> str:
    """The unit that an instruction is for, in lower case: array for a LAYER."""
    if values["opcode"] == Opcode.LAYER:
        return "array"
    unit = unit_of(program.config, values)
    return unit.command.name.lower() if unit is not None else "array"


def _counted(run: Mapping[str, Any] | None, layers: list[Values], facts: Values) -> Values | None:
    """What a device counted; its cycles replace the estimated ones where it has counters.

    A run of another model or target is not this program's: then the layers differ.
    """
    if run is None:
        return None
    rows = run["layers"]
    counted = {"device": run["device"], "cycles": run["cycles"], "estimated": facts["cycles"],
               "has_counters": bool(rows)}
    if not rows:
        return counted
    by_number = {row["number"]: row for row in rows}
    first = 0
    for layer in layers:
        row = by_number.get(layer["number"])
        layer["first"] = first
        if row is not None:
            layer["lost"] = {cause: row["lost"][cause] for cause in LOST if row["lost"].get(cause)}
            layer["cycles"], layer["utilization"] = row["cycles"], row["utilization"]
            layer["issued"] = row["cycles"] - sum(layer["lost"].values())
        first += layer["cycles"]
    facts["cycles"] = run["cycles"]
    return counted
