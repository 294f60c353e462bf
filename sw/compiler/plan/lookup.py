"""Tables of int8 values, one after the other."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["after"]

Table = TypeVar("Table", npt.NDArray[np.int8], npt.NDArray[np.int32])


def after(first: npt.NDArray[np.int8] | None, second: Table) -> Table:
    """Both tables, one after the other, as one; index = value + 128."""
    return second if first is None else second[first.astype(np.int64) + 128]
