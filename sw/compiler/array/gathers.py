"""GATHER by constant indices: copies of runs of neighbors, or products that pick channels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.array.moves import MOST_MOVES
from kaniwa.config import AcceleratorConfig

__all__ = ["picking", "picks", "runs_of"]

START = 40      # cycles of an instruction, about
WEIGHTS = 65536      # bytes of a matrix, at most
Shape = tuple[int, ...]


def runs_of(places: Sequence[int]) -> int:
    """How many runs of neighbors ``places`` are, each of which is copied at once."""
    return 1 + sum(behind != before + 1 for before, behind in pairwise(places))


def picks(dtype: str, shape: Shape, axis: int, count: int) -> bool:
    """A matrix can pick so many places of an axis: the last one, of bytes."""
    return dtype != "int16" and axis == len(shape) - 1 and shape[-1] * count <= WEIGHTS


def picking(dtype: str, shape: Shape, axis: int, places: Sequence[int],
            config: AcceleratorConfig) -> npt.NDArray[np.int8] | None:
    """Weights [results, 1, 1, channels] that pick ``places``, where products take fewer cycles than
    copies of runs, or these are too many; else None."""
    if not picks(dtype, shape, axis, len(places)):
        return None
    pixels, channels, count = prod(shape[:-1]), shape[-1], len(places)
    steps = -(-channels // config.dot_width)
    by_products = (pixels * -(-count // config.out_lanes) + count) * steps
    by_copies = (runs := runs_of(places)) * (pixels + START)
    if runs <= MOST_MOVES and by_products >= by_copies:
        return None
    return np.eye(channels, dtype=np.int8)[list(places)][:, None, None]
