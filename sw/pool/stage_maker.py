"""Stages of a model, compiled between two cuts, and what each costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from kaniwa.compiler.added_memory import compile_with_memory, with_ample_memory
from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.link_time import link_time
from kaniwa.errors import MemoryTooSmallError
from kaniwa.graph import Graph
from kaniwa.isa.counters import RunStatistics
from kaniwa.outside import ADDED_OUTSIDE
from kaniwa.pool.channels import Cut, part_between
from kaniwa.program.program import Program

__all__ = ["Cost", "Stage", "StageMaker"]

# Bytes of device memory that a stage lacks, then its seconds: the less the better.
Cost = tuple[float, float]


@dataclass(frozen=True)
class Stage:
    """A part of a model, compiled: operators ``first`` to ``last`` of the graph, both included.

    ``first_channel``: the first one of operator ``first`` that is computed here; those before it
    come from the stage before. ``end_channel``: the one behind the last of operator ``last`` here,
    None where there is none. ``cycles`` are the cycle model's. ``seconds``: of an inference, at the
    clock and over the line that the split was made for.
    """

    first: int
    last: int
    program: Program
    cycles: int
    seconds: float
    first_channel: int = 0
    end_channel: int | None = None


class StageMaker:
    """Makes stages of ``graph``, and knows what each costs: each is compiled for that once, those
    that do not fit, too.

    ``known``: costs of the stages that were compiled. ``alone``: a stage has device memory only.
    """

    def __init__(self, graph: Graph, target: AcceleratorConfig, pace: float | None,
                 clock_mhz: float, progress: Callable[[str], None] | None,
                 options: dict[str, Any]) -> None:
        self.graph, self.target, self.pace, self.clock_mhz = graph, target, pace, clock_mhz
        self._progress, self._options = progress, options
        # Emulator and simulated core add memory that nothing was said of, as for a whole model.
        self._added = ADDED_OUTSIDE if options.get("outside") is None else None
        self.alone = options.get("outside") == "none"
        self._compiled = cache(self._compile)
        self.known: dict[tuple[Cut, Cut], Cost] = {}

    def ends(self, cuts: Sequence[Cut]) -> list[Cut]:
        """``cuts`` with where the model begins and ends."""
        return [(0, 0), *cuts, (len(self.graph.ops), 0)]

    def stages(self, cuts: Sequence[Cut]) -> list[Stage]:
        """The stages between cuts. Raises what ``compile`` raises."""
        return [self._stage(begin, end) for begin, end in pairwise(self.ends(cuts))]

    def knows(self, cuts: Sequence[Cut]) -> bool:
        """Whether all stages between cuts were compiled."""
        return all(stage in self.known for stage in pairwise(self.ends(cuts)))

    def cost(self, cuts: Sequence[Cut]) -> Cost:
        """That of the worst stage."""
        stages = [*pairwise(self.ends(cuts))]
        for stage in stages:
            if stage not in self.known:
                self.known[stage] = self._cost_of(*stage)
        return max(self.known[stage] for stage in stages)

    def _cost_of(self, begin: Cut, end: Cut) -> Cost:
        try:
            return 0, self._stage(begin, end).seconds
        except MemoryTooSmallError as error:
            return max(1, error.needed_bytes - self.target.memory_bytes), 0.0

    def _stage(self, begin: Cut, end: Cut) -> Stage:
        program, statistics = self._compiled(begin, end)
        cycles = statistics.cycles
        on_line = 0.0 if self.pace is None else link_time(program, self.pace).seconds
        return Stage(begin[0], _last(end), program, cycles,
                     cycles / (1e6 * self.clock_mhz) + on_line, begin[1], end[1] or None)

    def _compile(self, begin: Cut, end: Cut) -> tuple[Program, RunStatistics]:
        if self._progress is not None:
            self._progress(f"compiling operators {begin[0]} to {_last(end)}")
        program = compile_with_memory(part_between(self.graph, begin, end), self.target,
                                      self._added, **self._options)
        return program, estimate(program)

    def op_cycles(self, begin: Cut, end: Cut) -> dict[int, float]:
        """Cycles of the operators between two cuts. Raises MemoryTooSmallError."""
        return _op_cycles(self.graph, *self._compiled(begin, end))

    def whole_op_cycles(self) -> dict[int, float]:
        """Cycles of each operator in the whole model, with memory where that is needed."""
        try:
            return self.op_cycles(*self.ends(()))
        except MemoryTooSmallError:
            program = self._whole_with_more_memory()
            return _op_cycles(self.graph, program, estimate(program))

    def _whole_with_more_memory(self) -> Program:
        options = self._options | {"outside": None}
        try:
            return compile_with_memory(self.graph, self.target, ADDED_OUTSIDE, **options)
        except MemoryTooSmallError:
            return compile_with_memory(self.graph, with_ample_memory(self.target), None, **options)


def _last(end: Cut) -> int:
    """The last operator before a cut, or the one that it is within."""
    number, before = end
    return number if before else number - 1


def _op_cycles(graph: Graph, program: Program, statistics: RunStatistics) -> dict[int, float]:
    """Cycles of each operator; those of a layer of several are shared out evenly."""
    cycles: defaultdict[int, float] = defaultdict(float)
    places = {op.source_index: i for i, op in enumerate(graph.ops)}
    layers = {layer.tag: layer for layer in program.layers}
    for counters in statistics.per_layer(program.turns):
        own = [places[i] for i in layers[counters.tag].source if i in places]
        for place in own:
            cycles[place] += counters.cycles / len(own)
    return cycles
