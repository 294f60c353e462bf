"""The order that C++'s ``std::partial_sort`` leaves, also of what is equal, as libstdc++ has it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["falling"]


def falling(values: Sequence[float], count: int) -> list[int]:
    """The positions of the ``count`` largest values, largest first."""
    if count == 1:      # the reference takes std::max_element then
        return [max(range(len(values)), key=lambda i: (values[i], -i))]
    heap = _Heap(values)
    for parent in reversed(range(count // 2)):
        heap.adjust(parent, count, heap.order[parent])
    for i in range(count, len(values)):
        if values[heap.order[i]] > values[heap.order[0]]:
            heap.pop(count, i)
    for last in reversed(range(1, count)):
        heap.pop(last, last)
    return heap.order[:count]


class _Heap:
    """The first positions of ``order``, of which the first one has the smallest value."""

    def __init__(self, values: Sequence[float]) -> None:
        self._values = values
        self.order = list(range(len(values)))

    def _before(self, a: int, b: int) -> bool:
        return self._values[a] > self._values[b]

    def pop(self, length: int, to: int) -> None:
        """``__pop_heap``: the first one goes to place ``to``, whose own comes into the heap."""
        value, self.order[to] = self.order[to], self.order[0]
        self.adjust(0, length, value)

    def adjust(self, hole: int, length: int, value: int) -> None:
        """``__adjust_heap``: the hole sinks to the bottom, then ``value`` rises from there."""
        order, top, child = self.order, hole, hole
        while child < (length - 1) // 2:
            child = 2 * (child + 1)
            child -= self._before(order[child], order[child - 1])
            order[hole], hole = order[child], child
        if length % 2 == 0 and child == (length - 2) // 2:
            child = 2 * child + 1
            order[hole], hole = order[child], child
        parent = (hole - 1) // 2
        while hole > top and self._before(order[parent], value):
            order[hole], hole = order[parent], parent
            parent = (hole - 1) // 2
        order[hole] = value
