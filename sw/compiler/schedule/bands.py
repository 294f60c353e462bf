"""Bands of rows: the order in which a stack of layers computes its rows, and the rows it stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaniwa.compiler.plan.geometry import Geometry, Pair

__all__ = ["Band", "Stack", "overlaps", "stack_of"]


@dataclass(frozen=True)
class Band:
    """Rows [first, past the last) of a layer, by its place in the stack. ``ifm_base`` and
    ``ofm_base``: the first row that its input's and its result's memory holds."""

    place: int
    rows: Pair
    ifm_base: int
    ofm_base: int


@dataclass(frozen=True)
class Stack:
    """The bands in the order of their execution. ``held``: rows that the memory of each result but
    the last one has; ``kept``: whether some of them stay from band to band."""

    bands: tuple[Band, ...]
    held: tuple[int, ...]
    kept: tuple[bool, ...]

    def computed(self, place: int) -> int:
        """Rows that the layer computes in all bands."""
        return sum(band.rows[1] - band.rows[0] for band in self.bands if band.place == place)

    def count(self, place: int) -> int:
        """Number of the layer's bands."""
        return sum(band.place == place for band in self.bands)


def overlaps(g: Geometry) -> bool:
    """True where two neighboring rows of the result have a row of the input in common."""
    return g.extent[0] > g.stride[0]


def _needed(g: Geometry, rows: Pair) -> Pair:
    """The rows of the input for ``rows`` of the result; at least one."""
    first = min(max(0, rows[0] * g.stride[0] - g.padding[0]), g.ifm[0] - 1)
    last = min(g.ifm[0], (rows[1] - 1) * g.stride[0] - g.padding[0] + g.extent[0])
    return first, max(first + 1, last)


def stack_of(layers: Sequence[Geometry], lap: int, sub: int) -> Stack:
    """The bands of ``layers``, of which each reads the one before.

    Rows of the last result come ``sub`` at a time. What two bands have in common is kept within a
    ``lap`` of rows, and computed again in the next one.
    """
    count = len(layers)
    kept = tuple(overlaps(g) for g in layers[1:])
    height = layers[-1].ofm[0]
    bands: list[Band] = []
    held = [0] * (count - 1)
    for start in range(0, height, lap):
        end = min(start + lap, height)
        bases, done = [0] * count, [-1] * count
        for first in range(start, end, sub):
            need = (first, min(first + sub, end))
            wanted = [need]
            for g in reversed(layers[1:]):
                need = _needed(g, need)
                wanted.insert(0, need)
            for place, (low, high) in enumerate(wanted):
                last = place == count - 1
                if done[place] < 0 or (not last and not kept[place]):
                    bases[place] = 0 if last else low
                    done[place] = low
                if high > done[place]:
                    bands.append(Band(place, (done[place], high),
                                      bases[place - 1] if place else 0, bases[place]))
                    done[place] = high
                if not last:
                    held[place] = max(held[place], high - bases[place])
    return Stack(tuple(bands), tuple(held), kept)
