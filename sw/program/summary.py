"""Summary of a program: its layers with their estimated cycles, and what crosses to the device."""

from __future__ import annotations

from typing import Any

from kaniwa.cycles.estimate import estimate
from kaniwa.isa import INSTRUCTION_BYTES
from kaniwa.isa.counters import RunStatistics, TagCounters
from kaniwa.program.host_segments import host_segments
from kaniwa.program.layer_facts import layer_facts
from kaniwa.program.program import Program, Step
from kaniwa.runtimes import NAMES
from kaniwa.units import register

__all__ = ["summary"]


def summary(program: Program, statistics: RunStatistics | None = None) -> dict[str, Any]:
    """Output of ``kaniwa compile --json``, as plain values; cycles are estimates, or ``statistics``
    where the caller has them."""
    statistics = statistics or estimate(program)
    counters = {tag.tag: tag for tag in statistics.per_layer(program.turns)}
    instructions = program.instructions
    rows = [row for step in program.steps for row in (
        _device_rows(program, step, counters, instructions) if step.where == "device"
        else _host_rows(program, step))]
    return {
        "model": program.name, "target": program.config.name, "config_hash": program.config_hash,
        "cycles": statistics.cycles, "macs": program.macs, "removed_macs": program.removed_macs,
        "utilization": program.utilization(program.macs, statistics.cycles), "fits": True,
        "memory_bytes": program.local_bytes - program.local_base,
        "outside_bytes": program.outside_bytes - program.outside_base,
        "outside": program.outside, "weight_bytes": program.weight_bytes,
        "bits_per_weight": 8 * program.weight_bytes / program.weights if program.weights else 0.0,
        "instructions": len(program.commands) // INSTRUCTION_BYTES, "layers": rows,
        "steps": [_crossing(program, step) for step in program.steps],
        "host_segments": host_segments(program).as_dict(),
    }


def _device_rows(program: Program, run: Step, counters: dict[int, TagCounters],
                 instructions: list[dict[str, int]]) -> list[dict[str, Any]]:
    rows = []
    for layer in program.layers_of(run):
        own_instructions = [instructions[i] for i in layer.instructions]
        own = counters.pop(layer.tag, TagCounters(layer.tag, 0, 0, {}))
        rows.append({"name": layer.name, "op": layer.op, "where": "device", "why": "",
                     "runtime": "", "macs": layer.macs, "cycles": own.cycles,
                     "utilization": program.utilization(layer.macs, own.cycles),
                     "lost": own.lost, "instructions": len(layer.instructions),
                     "steps": _recurrent_steps(program, own_instructions),
                     "removed": dict(layer.removed or {}),
                     "rounding": program.rounding.get(layer.instructions[0], []),
                     **layer_facts(program, layer)})
    return rows


def _recurrent_steps(program: Program, instructions: list[dict[str, int]]) -> int:
    """Steps of a recurrent layer, 1 of others."""
    steps = [1]
    for unit in register.UNITS:
        own = [v for v in instructions if v["opcode"] == unit.command.opcode]
        steps.append(unit.time_steps(own, program.read))
    return max(steps)


def _host_rows(program: Program, step: Step) -> list[dict[str, Any]]:
    return [{"name": op.name, "op": op.kind, "where": "host", "why": op.why, "macs": 0,
             "runtime": NAMES.get(op.rule, ""),
             "cycles": 0, "utilization": 0.0, "lost": {}, "instructions": 0, "steps": 1,
             "removed": {}, "rounding": [], **layer_facts(program, op)}
            for op in program.host_ops[step.first:step.first + step.count]]


def _crossing(program: Program, step: Step) -> dict[str, Any]:
    """Work of a step, and the bytes that go to the device before the step and back behind it."""
    device = step.where == "device"
    names = ([layer.name for layer in program.layers_of(step)] if device else
             [op.name for op in program.host_ops[step.first:step.first + step.count]])
    sizes = [sum(program.tensor(i).bytes for i in ids) if device else 0
             for ids in (step.takes, step.gives)]
    return {"where": step.where, "does": names, "bytes_to_device": sizes[0],
            "bytes_from_device": sizes[1]}
