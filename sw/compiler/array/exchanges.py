"""Transpositions as exchanges of two groups of neighboring axes, which the array copies."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import combinations
from math import prod

__all__ = ["View", "cost", "exchanges", "swapped"]

View = tuple[int, int, int, int]      # [outer, first, second, run], to [outer, second, first, run]
Order = tuple[int, ...]

AT_ONCE = 8     # neighbors that a copy moves together: fewer take as much longer
SEARCHED = 6    # groups of axes: of more there are too many ways


def exchanges(shape: tuple[int, ...], permutation: object) -> tuple[View, ...]:
    """The views of the exchanges that make a transposition, one after the other. Of all ways it is
    the one that copies most neighbors together, in few copies; of more than six groups of axes each
    is brought to its place. Where nothing moves there is none."""
    assert isinstance(permutation, tuple)
    order = [i for i in permutation if shape[i] > 1]
    groups = _together(order)
    in_order = sorted(groups)
    sizes = {number: prod(shape[i] for i in group) for number, group in enumerate(in_order)}
    wanted = tuple(map(in_order.index, groups))
    return (_searched if len(wanted) <= SEARCHED else _one_by_one)(wanted, sizes)


def cost(views: tuple[View, ...]) -> float:
    """What exchanges of the same bytes cost, compared with others."""
    return sum(1 + AT_ONCE / min(AT_ONCE, view[3]) for view in views)


def swapped(shape: tuple[int, ...], permutation: object) -> View | None:
    """The view of a transposition that is one exchange, or None; all is one run where nothing
    moves."""
    views = exchanges(shape, permutation) or ((1, 1, 1, prod(shape)),)
    return views[0] if len(views) == 1 else None


def _searched(wanted: Order, sizes: dict[int, int]) -> tuple[View, ...]:
    """The way to an order that costs least (Dijkstra's algorithm)."""
    best: dict[Order, float] = {tuple(sizes): 0.0}
    ways: list[tuple[float, Order, tuple[View, ...]]] = [(0.0, tuple(sizes), ())]
    while True:
        spent, now, views = heapq.heappop(ways)
        if now == wanted:
            return views
        for after, view in _each(now, sizes):
            total = spent + cost((view,))
            if total < best.get(after, float("inf")):
                best[after] = total
                heapq.heappush(ways, (total, after, (*views, view)))


def _one_by_one(wanted: Order, sizes: dict[int, int]) -> tuple[View, ...]:
    """Each group in front of those that come behind it."""
    now, views = tuple(sizes), list[View]()
    for place, group in enumerate(wanted):
        at = now.index(group)
        if at != place:
            after, view = _exchanged(now, place, at, at + 1, sizes)
            views.append(view)
            now = after
    return tuple(views)


def _together(order: list[int]) -> list[tuple[int, ...]]:
    """Axes that stay neighbors, in one group each."""
    groups = list[tuple[int, ...]]()
    rank = {axis: number for number, axis in enumerate(sorted(order))}
    for axis in order:
        if groups and rank[axis] == rank[groups[-1][-1]] + 1:
            groups[-1] = (*groups[-1], axis)
        else:
            groups.append((axis,))
    return groups


def _each(now: Order, sizes: dict[int, int]) -> Iterator[tuple[Order, View]]:
    """What one exchange makes of an order of groups of so many ``sizes``."""
    for first, cut, past in combinations(range(len(now) + 1), 3):
        yield _exchanged(now, first, cut, past, sizes)


def _exchanged(now: Order, first: int, cut: int, past: int, sizes: dict[int, int]
               ) -> tuple[Order, View]:
    """The order in which groups [first, cut) come behind [cut, past), and the view of that."""
    outer, before, behind, run = now[:first], now[first:cut], now[cut:past], now[past:]
    return (*outer, *behind, *before, *run), (
        _size(outer, sizes), _size(before, sizes), _size(behind, sizes), _size(run, sizes))


def _size(groups: Order, sizes: dict[int, int]) -> int:
    return prod(sizes[group] for group in groups)
