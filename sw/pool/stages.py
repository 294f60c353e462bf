"""Split of a model into stages, one for each device of a pipeline, by cycles and by the line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

from kaniwa.compiler.added_memory import compile_with_memory
from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.device_clock import CLOCK_MHZ
from kaniwa.driver.link_time import link_time
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.isa.counters import RunStatistics
from kaniwa.outside import ADDED_OUTSIDE
from kaniwa.pool.part import crossing_bytes, cut_points, part
from kaniwa.program.program import Program

__all__ = ["Stage", "split"]


@dataclass(frozen=True)
class Stage:
    """A part of a model, compiled: operators ``first`` to ``last`` of the graph, both included.

    ``cycles`` are the cycle model's. ``seconds``: of an inference, at the clock and over the line
    that the split was made for.
    """

    first: int
    last: int
    program: Program
    cycles: int
    seconds: float


def split(graph: Graph, devices: int, target: AcceleratorConfig, *, pace: float | None = None,
          clock_mhz: float = CLOCK_MHZ, progress: Callable[[str], None] | None = None,
          **options: Any) -> list[Stage]:
    """``graph`` in as many stages as there are ``devices``, the slowest of which is quick.

    A stage's time is its cycles at ``clock_mhz`` and its inputs and outputs on a line of ``pace``
    bytes a second (None: they take no time). Cuts are first put where the cycles of the whole
    model's layers and the bytes that cross say, then each is moved as long as the slowest stage
    gets quicker. ``options`` are those of ``compile``; without ``outside`` a stage gets as much as
    it needs, which simulators add. Raises CompileError where the model has no place for so many
    cuts (none divides what belongs to a state), and what ``compile`` raises.
    """
    if devices < 1:
        raise CompileError(f"{graph.name}: a pipeline has at least one device, not {devices}")
    allowed = cut_points(graph)
    if len(allowed) < devices - 1:
        raise CompileError(f"{graph.name}: can be cut in {len(allowed)} places, which makes "
                           f"{len(allowed) + 1} stages, not {devices}: use fewer devices")

    # Emulator and simulated core add memory that nothing was said of, as for a whole model.
    added = ADDED_OUTSIDE if options.get("outside") is None else None

    @cache
    def compiled(first: int, last: int) -> tuple[Program, RunStatistics]:
        if progress is not None:
            progress(f"compiling operators {first} to {last}")
        program = compile_with_memory(part(graph, first, last), target, added, **options)
        return program, estimate(program)

    def stage(first: int, last: int) -> Stage:
        program, statistics = compiled(first, last)
        cycles = statistics.cycles
        on_line = 0.0 if pace is None else link_time(program, pace).seconds
        return Stage(first, last, program, cycles, cycles / (1e6 * clock_mhz) + on_line)

    def stages(cuts: Sequence[int]) -> list[Stage]:
        bounds = [0, *cuts, len(graph.ops)]
        return [stage(first, end - 1) for first, end in zip(bounds, bounds[1:], strict=False)]

    sums = [0.0, *accumulate(_op_cycles(graph, *compiled(0, len(graph.ops) - 1)))]
    crossing = [crossing_bytes(graph, place) for place in range(len(graph.ops) + 1)]

    def expected(first: int, end: int) -> float:
        on_line = 0.0 if pace is None else (crossing[first] + crossing[end]) / pace
        return (sums[end] - sums[first]) / (1e6 * clock_mhz) + on_line

    cuts = _balanced(expected, [0, *allowed, len(graph.ops)], devices)
    return stages(_improved(cuts, allowed, lambda cuts: max(s.seconds for s in stages(cuts))))


def _op_cycles(graph: Graph, program: Program, statistics: RunStatistics) -> list[float]:
    """Cycles of each operator; those of a layer of several are shared out evenly."""
    cycles = [0.0] * len(graph.ops)
    places = {op.source_index: i for i, op in enumerate(graph.ops)}
    layers = {layer.tag: layer for layer in program.layers}
    for counters in statistics.per_layer(program.turns):
        own = [places[i] for i in layers[counters.tag].source if i in places]
        for place in own:
            cycles[place] += counters.cycles / len(own)
    return cycles


def _balanced(cost: Callable[[int, int], float], ends: Sequence[int],
              devices: int) -> tuple[int, ...]:
    """The cuts among ``ends`` that make the largest ``cost`` of a stage (first, end) the least."""
    # By end: the largest cost of the stages up to it, and the cuts between these.
    least: dict[int, tuple[float, tuple[int, ...]]] = {e: (cost(0, e), ()) for e in ends[1:]}
    for _ in range(devices - 1):
        least = {end: min((max(before, cost(cut, end)), (*cuts, cut))
                          for cut, (before, cuts) in least.items() if cut < end)
                 for end in ends if any(cut < end for cut in least)}
    return least[ends[-1]][1]


def _improved(cuts: tuple[int, ...], allowed: Sequence[int],
              cost: Callable[[tuple[int, ...]], float]) -> tuple[int, ...]:
    """Cuts moved to neighboring places, one at a time, as long as ``cost`` gets less."""
    best, moved = cost(cuts), True
    while moved:
        moved = False
        for number, cut in enumerate(cuts):
            place = allowed.index(cut)
            for other in (place - 1, place + 1):
                if not 0 <= other < len(allowed):
                    continue
                tried = (*cuts[:number], allowed[other], *cuts[number + 1:])
                if list(tried) == sorted(set(tried)) and (found := cost(tried)) < best:
                    best, cuts, moved = found, tried, True
                    break
    return cuts
