"""Cycle model: the counters of a program's inference, without a device."""

from __future__ import annotations

from kaniwa.cycles.model import model_run
from kaniwa.data.arguments import expect
from kaniwa.isa.counters import RunStatistics, in_turn
from kaniwa.program.program import Program
from kaniwa.timing import Timing

__all__ = ["estimate"]


def estimate(program: Program) -> RunStatistics:
    """The counters of an inference, all runs of it, as the cycle model expects them."""
    expect("program", program, Program)
    instructions, timing = program.instructions, Timing.of(program.config, program.outside)
    return in_turn([
        model_run(program.config, instructions[run.first:run.first + run.count - 1], program.read,
                  timing, program.address_of(run)) for run in program.runs])
