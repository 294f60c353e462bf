"""Tables of int8 values, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["EVERY", "after", "common_argument"]

Int8 = npt.NDArray[np.int8]
EVERY = np.arange(-128, 128).astype(np.int8)
Table = TypeVar("Table", npt.NDArray[np.int8], npt.NDArray[np.int32])


def after(first: npt.NDArray[np.int8] | None, second: Table) -> Table:
    """Both tables, one after the other, as one; index = value + 128."""
    return second if first is None else second[first.astype(np.int64) + 128]


def common_argument(first: int, second: int,
                    source: Callable[[int], tuple[int, Int8] | None],
                    ) -> tuple[int, Int8, Int8] | None:
    """The nearest tensor that two tensors are functions of, and the functions; None without one.

    ``source`` tells which tensor another one is looked up from, and the table; None where it is
    not looked up.
    """
    of_first, of_second = (_functions(tensor, source) for tensor in (first, second))
    common = next((tensor for tensor in of_first if tensor in of_second), None)
    return None if common is None else (common, of_first[common], of_second[common])


def _functions(tensor: int, source: Callable[[int], tuple[int, Int8] | None]) -> dict[int, Int8]:
    """The tensors that ``tensor`` is a function of, nearest first, each with the function."""
    found = {tensor: EVERY}
    table = EVERY
    while (before := source(tensor)) is not None:
        tensor, table = before[0], after(before[1], table)
        found[tensor] = table
    return found
