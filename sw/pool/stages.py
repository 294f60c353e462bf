"""Split of a model into stages, one for each device of a pipeline, by cycles and by the line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

from kaniwa.compiler.added_memory import compile_with_memory, with_ample_memory
from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.device_clock import CLOCK_MHZ
from kaniwa.driver.link_time import link_time
from kaniwa.errors import CompileError, MemoryTooSmallError
from kaniwa.graph import Graph
from kaniwa.isa.counters import RunStatistics
from kaniwa.outside import ADDED_OUTSIDE
from kaniwa.pool.channels import (
    Cut,
    bytes_at,
    channel_cuts,
    channels_of,
    part_between,
    whole_cuts,
)
from kaniwa.program.program import Program

__all__ = ["Stage", "split"]

# A layer is cut between channels where the slowest stage gets quicker by this share: its input goes
# to two devices then.
WORTH_IT = 0.05
# Bytes of device memory that a stage lacks, then its seconds: the less the better.
Cost = tuple[float, float]
NONE: Cost = (math.inf, math.inf)     # of no cuts at all


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


def split(graph: Graph, devices: int, target: AcceleratorConfig, *, pace: float | None = None,
          clock_mhz: float = CLOCK_MHZ, progress: Callable[[str], None] | None = None,
          **options: Any) -> list[Stage]:
    """``graph`` in as many stages as there are ``devices``, the slowest of which is quick.

    A stage's time is its cycles at ``clock_mhz`` and its inputs and outputs on a line of ``pace``
    bytes a second (None: they take no time). Cuts are first put where the cycles of the whole
    model's layers and the bytes that cross say, then each is moved as long as the slowest stage
    gets quicker. A layer's channels are shared out among stages where that is worth it.

    ``options`` are those of ``compile``; without ``outside`` a stage gets as much as it needs,
    which simulators add, and with "none" it has device memory alone. Raises CompileError where the
    model has no place for so many cuts (none divides what belongs to a state), MemoryTooSmallError
    where no cuts were found whose stages fit, and what ``compile`` raises.
    """
    if devices < 1:
        raise CompileError(f"{graph.name}: a pipeline has at least one device, not {devices}")
    maker = _Maker(graph, target, pace, clock_mhz, progress, options)
    whole = whole_cuts(graph)
    places = sorted([*whole, *channel_cuts(graph, target.out_lanes)])
    if len(places) < devices - 1:
        raise CompileError(f"{graph.name}: can be cut in {len(places)} places, which makes "
                           f"{len(places) + 1} stages, not {devices}: use fewer devices")
    expected = _expected_costs(graph, maker)

    def found(allowed: Sequence[Cut], than: Cost = NONE) -> tuple[Cut, ...] | None:
        """Cuts among those ``allowed`` that are better ``than`` others, if there are some."""
        if len(allowed) < devices - 1:
            return None
        cuts = _balanced(expected, maker.ends(allowed), devices)
        if max(expected(*one) for one in pairwise(maker.ends(cuts))) >= than:
            return None
        cuts = _improved(cuts, allowed, maker.cost)
        return cuts if maker.cost(cuts) < than else None

    between = found(whole)
    lacking, seconds = NONE if between is None else maker.cost(between)
    within = found(places, (lacking, (1 - WORTH_IT) * seconds))
    cuts = between if within is None else within
    assert cuts is not None
    try:
        return maker.stages(cuts)
    except MemoryTooSmallError as error:
        raise MemoryTooSmallError(f"{error}, or more devices", error.needed_bytes) from None


class _Maker:
    """Makes stages of ``graph``, and knows what each costs: each is compiled for that once, those
    that do not fit, too."""

    def __init__(self, graph: Graph, target: AcceleratorConfig, pace: float | None,
                 clock_mhz: float, progress: Callable[[str], None] | None,
                 options: dict[str, Any]) -> None:
        self.graph, self.target, self.pace, self.clock_mhz = graph, target, pace, clock_mhz
        self._progress, self._options = progress, options
        # Emulator and simulated core add memory that nothing was said of, as for a whole model.
        self._added = ADDED_OUTSIDE if options.get("outside") is None else None
        self.alone = options.get("outside") == "none"
        self._compiled = cache(self._compile)
        self._cost = cache(self._cost_of)

    def ends(self, cuts: Sequence[Cut]) -> list[Cut]:
        """``cuts`` with where the model begins and ends."""
        return [(0, 0), *cuts, (len(self.graph.ops), 0)]

    def stages(self, cuts: Sequence[Cut]) -> list[Stage]:
        """The stages between cuts. Raises what ``compile`` raises."""
        return [self._stage(begin, end) for begin, end in pairwise(self.ends(cuts))]

    def cost(self, cuts: Sequence[Cut]) -> Cost:
        """That of the worst stage."""
        return max(self._cost(begin, end) for begin, end in pairwise(self.ends(cuts)))

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

    def op_cycles(self) -> list[float]:
        """Cycles of each operator in the whole model, with memory where that is needed."""
        try:
            program, statistics = self._compiled(*self.ends(()))
        except MemoryTooSmallError:
            program = self._whole_with_more_memory()
            statistics = estimate(program)
        return _op_cycles(self.graph, program, statistics)

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


def _expected_costs(graph: Graph, maker: _Maker) -> Callable[[Cut, Cut], Cost]:
    """What a stage between two cuts is expected to cost, without compiling it.

    What it lacks of memory goes by its constants, not packed, and by what crosses its ends.
    """
    cycles = [0.0, *accumulate(maker.op_cycles())]
    sizes = [0, *accumulate(sum(data.nbytes for i in op.inputs
                                if i != -1 and (data := graph.tensors[i].data) is not None)
                            for op in graph.ops)]

    @cache
    def at(cut: Cut) -> tuple[float, float, int]:
        """Cycles and constants before a cut, and bytes that cross it."""
        number, before = cut
        share = before / channels_of(graph, number) if before else 0.0
        last = min(number + 1, len(graph.ops))
        return (cycles[number] + share * (cycles[last] - cycles[number]),
                sizes[number] + share * (sizes[last] - sizes[number]), bytes_at(graph, cut))

    def expected(begin: Cut, end: Cut) -> Cost:
        (cycles_before, size_before, bytes_in), (cycles, size, bytes_out) = at(begin), at(end)
        crossing = bytes_in + bytes_out
        seconds = (cycles - cycles_before) / (1e6 * maker.clock_mhz)
        if maker.pace is not None:
            seconds += crossing / maker.pace
        lacking = int(size - size_before) + crossing - maker.target.memory_bytes
        return max(0, lacking) if maker.alone else 0, seconds

    return expected


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


def _balanced(cost: Callable[[Cut, Cut], Cost], ends: Sequence[Cut],
              devices: int) -> tuple[Cut, ...]:
    """The cuts among ``ends`` that make the largest ``cost`` of a stage (begin, end) the least."""
    # By end: the largest cost of the stages up to it, and the cuts between these.
    least: dict[Cut, tuple[Cost, tuple[Cut, ...]]] = {
        end: (cost(ends[0], end), ()) for end in ends[1:]}
    for _ in range(devices - 1):
        least = {end: min((max(before, cost(cut, end)), (*cuts, cut))
                          for cut, (before, cuts) in least.items() if cut < end)
                 for end in ends if any(cut < end for cut in least)}
    return least[ends[-1]][1]


def _improved(cuts: tuple[Cut, ...], allowed: Sequence[Cut],
              cost: Callable[[tuple[Cut, ...]], Cost]) -> tuple[Cut, ...]:
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
