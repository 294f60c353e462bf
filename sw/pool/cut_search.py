"""Search for the cuts of a model whose slowest stage is quick."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kaniwa.pool.channels import Cut, bytes_at, channels_of
from kaniwa.pool.stage_maker import Cost, StageMaker

__all__ = ["NONE", "Expected", "better_cuts"]

NONE: Cost = (math.inf, math.inf)     # of no cuts at all
Costs = npt.NDArray[np.float64]
BYTE = 1e6          # seconds that a byte counts for, where a cost is one number
ROUNDS = 4          # that are enough where none finds better cuts


def better_cuts(expected: Expected, allowed: Sequence[Cut], devices: int,
                than: Cost = NONE) -> tuple[Cut, ...] | None:
    """Cuts among those ``allowed`` that cost less ``than`` others, if there are some."""
    if len(allowed) < devices - 1:
        return None
    cuts = _foreseen(expected, allowed, devices, than)
    if cuts is None:
        return None
    cost = expected.maker.cost
    cuts = _improved(cuts, allowed, cost)
    return cuts if cost(cuts) < than else None


class Expected:
    """What stages cost: those that were compiled, and what others are expected to.

    The cycles of an operator are those that it had in the stage that was compiled last, at first in
    the whole model. What a stage lacks of memory goes by its constants, not packed, and by what
    crosses its ends.
    """

    def __init__(self, maker: StageMaker) -> None:
        self.maker, self._graph = maker, maker.graph
        self._cycles = np.zeros(len(self._graph.ops))
        for number, cycles in maker.whole_op_cycles().items():
            self._cycles[number] = cycles
        self._sizes = np.array([sum(
            data.nbytes for i in op.inputs
            if i != -1 and (data := self._graph.tensors[i].data) is not None)
            for op in self._graph.ops], float)
        self._bytes_at = cache(lambda cut: bytes_at(self._graph, cut))

    def learn(self, cuts: Sequence[Cut]) -> None:
        """Take over the cycles that operators have in the compiled stages between ``cuts``."""
        for begin, end in pairwise(self.maker.ends(cuts)):
            if self.maker.known[begin, end][0]:
                continue
            for number, cycles in self.maker.op_cycles(begin, end).items():
                self._cycles[number] = cycles / self._share(number, begin, end)

    def costs(self, ends: Sequence[Cut]) -> Costs:
        """Of a stage from each end to each other one, [ends, ends], as numbers."""
        numbers = np.array([number for number, _ in ends])
        shares = np.array([self._before(cut) for cut in ends])
        cycles, sizes = (self._up_to(each, numbers, shares) for each in (self._cycles, self._sizes))
        crossing = np.array([self._bytes_at(cut) for cut in ends], float)
        seconds = (cycles - cycles[:, None]) / (1e6 * self.maker.clock_mhz)
        crossing = crossing + crossing[:, None]
        if self.maker.pace is not None:
            seconds += crossing / self.maker.pace
        if self.maker.alone:
            lacking = sizes - sizes[:, None] + crossing - self.maker.target.memory_bytes
            seconds += BYTE * np.maximum(0, lacking)
        places = {cut: place for place, cut in enumerate(ends)}
        for (begin, end), known in self.maker.known.items():
            if begin in places and end in places:
                seconds[places[begin], places[end]] = _number(known)
        return seconds

    def _before(self, cut: Cut) -> float:
        """The share of its operator that lies before a cut."""
        number, before = cut
        return before / channels_of(self._graph, number) if before else 0.0

    def _share(self, number: int, begin: Cut, end: Cut) -> float:
        """The share of an operator that lies between two cuts."""
        last = self._before(end) if number == end[0] else 1.0
        return last - (self._before(begin) if number == begin[0] else 0.0)

    @staticmethod
    def _up_to(each: Costs, numbers: npt.NDArray[np.int_], shares: Costs) -> Costs:
        """The sum of what operators have up to each cut."""
        before = np.concatenate(([0.0], np.cumsum(each)))
        return before[numbers] + shares * np.append(each, 0.0)[numbers]


def _foreseen(expected: Expected, allowed: Sequence[Cut], devices: int,
              than: Cost) -> tuple[Cut, ...] | None:
    """The best cuts of those that were foreseen to be: their stages are compiled, which says more
    of others, until the same cuts come again. None where none better ``than`` others is foreseen.
    """
    maker = expected.maker
    ends = maker.ends(allowed)
    best: tuple[Cut, ...] | None = None
    least, without = NONE, 0     # of the best cuts, and rounds that found none better
    while without < ROUNDS:
        cuts, foreseen = _balanced(expected.costs(ends), ends, devices)
        known = maker.knows(cuts)
        if best is None and foreseen >= _number(than):
            return None
        cost = maker.cost(cuts)
        without += 1
        if cost < least:
            best, least, without = cuts, cost, 0
        if known:
            break        # what is foreseen of them is what they cost
        expected.learn(cuts)
    return best


def _number(cost: Cost) -> float:
    """A cost as one number: a byte that is lacking weighs more than any time."""
    lacking, seconds = cost
    return BYTE * lacking + seconds


def _balanced(costs: Costs, ends: Sequence[Cut], devices: int) -> tuple[tuple[Cut, ...], float]:
    """The cuts among ``ends`` that make the largest of the ``costs`` of stages the least, and that
    cost."""
    allowed = np.where(np.tri(len(ends), dtype=bool), np.inf, costs)    # a stage has a beginning
    least, before = allowed[0], []       # up to each end, and the cuts before it
    for _ in range(devices - 1):
        worst = np.maximum(least[:, None], allowed)
        before.append(worst.argmin(axis=0))
        least = worst.min(axis=0)
    place = len(ends) - 1
    cuts: list[Cut] = []
    for last in reversed(before):
        place = int(last[place])
        cuts.insert(0, ends[place])
    return tuple(cuts), float(least[-1])


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
