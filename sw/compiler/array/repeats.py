"""TILE and what is broadcast: runs of bytes that come several times, as moves or as products."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.array.copies import PIXEL_LANES
from kaniwa.compiler.array.moves import Move

__all__ = ["Repeat", "repeats", "times_of"]


@dataclass(frozen=True)
class Repeat:
    """``outer`` runs of ``run`` bytes, each of which comes ``times`` times, side by side."""

    outer: int
    times: int
    run: int

    @property
    def shape(self) -> tuple[int, int]:
        """Runs of the result, and their bytes."""
        return self.outer, self.times * self.run

    def move(self, lanes: int) -> Move:
        """The move that makes them, with ``lanes`` of the array that copy.

        A short run is a pixel that is read again, a long one is a map that is loaded again.
        """
        outer, times, run = self.outer, self.times, self.run
        if run <= PIXEL_LANES * lanes:
            return Move(1, outer, run, (0, 0, run), (0, 0, times * run), times, (0, run))
        return Move(outer, times, run, (0, run, 0), (0, times * run, run))

    def identities(self, lanes: int) -> npt.NDArray[np.int8] | None:
        """Weights [times * run, 1, 1, run] of which each result is one byte of a run, where
        products make ``lanes`` of these a cycle sooner than copies make a run; else None."""
        outer, times, run = self.outer, self.times, self.run
        by_copies = outer * times * -(-run // lanes)
        by_products = outer * -(-times * run // lanes) + times * run     # and weights, a cycle each
        if by_products >= by_copies:
            return None
        return np.tile(np.eye(run, dtype=np.int8), (times, 1))[:, None, None]


def times_of(shape: tuple[int, ...], wide: tuple[int, ...]) -> tuple[int, ...]:
    """How often each axis of ``wide`` repeats what ``shape`` broadcasts to it."""
    own = (1,) * (len(wide) - len(shape)) + shape
    return tuple(n // m for n, m in zip(wide, own, strict=True))


def repeats(shape: tuple[int, ...], times: tuple[int, ...], itemsize: int) -> list[Repeat]:
    """The steps, one after the other, that repeat each axis so often, the last axes first.

    ``shape`` has as many axes as ``times``, of elements of ``itemsize`` bytes. Neighboring axes are
    repeated at once where no data lies between their copies.
    """
    steps, run = list[Repeat](), itemsize
    for axis in range(len(shape) - 1, -1, -1):
        run *= shape[axis]
        if times[axis] == 1:
            continue
        outer, last = prod(shape[:axis]), steps[-1] if steps else None
        if last is not None and last.times * last.run == run:
            steps[-1] = Repeat(outer, last.times * times[axis], last.run)
        else:
            steps.append(Repeat(outer, times[axis], run))
        run *= times[axis]
    return steps
