"""Scales at which the square of a difference needs nothing but a shift."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.rescale import Int64

__all__ = ["ShiftedSquare", "shifted_square"]

_TOP = (1 << 31) - 1   # of a lane's word


@dataclass(frozen=True, eq=False)
class ShiftedSquare:
    """(entries[fine] - factor * coarse)^2, rounded to a multiple of 2^31, and then to one of
    2^(31 + right): the results of a SQUARED_DIFFERENCE less their zero point."""

    entries: Int64
    factor: int
    right: int


def shifted_square(entries: Int64, factor: int, coarse: npt.NDArray[np.int8],
                   results: Int64, high: int) -> ShiftedSquare | None:
    """``entries`` and ``factor`` times a number whose square is the scale of ``results``
    [fine, coarse], which are limited to ``high``; None where no such number gives all of them.

    LiteRT rescales a square by a multiplier and a shift, and rounds twice. The results are steps
    of the distance, so a range of scales gives the same; a middle one is tried, and compared with
    ``results`` value by value.
    """
    squares = (entries[:, None] - factor * coarse.astype(np.int64)) ** 2
    if results.min() < 0 or high < 1 or not squares.any():
        return None
    above, below = results > 0, (results < high) & (squares > 0)
    least = ((results[above] - 0.5) / np.maximum(squares[above], 1)).max(initial=0.0)
    most = ((results[below] + 0.5) / squares[below]).min(initial=math.inf)
    if not 0 < least < most < math.inf:
        return None
    scale, largest = (least + most) / 2, math.isqrt(int(squares.max()))
    right = math.floor(2 * math.log2(_TOP / largest) - 31 - math.log2(scale))
    if not 0 < right <= 31:
        return None
    times = math.sqrt(scale * 2.0 ** (31 + right))
    found = ShiftedSquare(np.rint(entries * times).astype(np.int64), round(factor * times), right)
    return found if np.array_equal(_results(found, coarse, high), results) else None


def _results(square: ShiftedSquare, coarse: npt.NDArray[np.int8], high: int) -> Int64:
    """What a program of the vector unit makes of all values."""
    x = square.entries[:, None] - square.factor * coarse.astype(np.int64)
    product = np.minimum((x * x + (1 << 30)) >> 31, _TOP)
    return np.minimum((product + (1 << square.right - 1)) >> square.right, high)
