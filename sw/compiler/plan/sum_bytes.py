"""Sums of 32 bits from the array, whose results are bytes.

Four output channels with the same weights make the four bytes of a sum: each shifts it, and keeps
its low 8 bits.
"""

from __future__ import annotations

import numpy as np

from kaniwa.compiler.plan.rescale import Int64, Rescale
from kaniwa.isa import Rounding

__all__ = ["SUM_BYTES", "sum_bytes"]

SUM_BYTES = 4
WRAPS = (127, -128)       # act_min, act_max of results that are the low 8 bits


def sum_bytes(bias: Int64, doubled: int = 0) -> tuple[Int64, Rescale]:
    """Biases and rescaling of the channels of sums that have ``bias`` [sums], SUM_BYTES for each.

    The bytes are those of the sum times 2^doubled, 0..7, little-endian.
    """
    shift = 8 * np.arange(SUM_BYTES, dtype=np.int64) - doubled
    rounding = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)   # is added again
    multiplier = np.int64(1) << np.maximum(-shift, 0)
    return ((bias[:, None] - rounding).ravel(),
            Rescale(np.tile(multiplier, len(bias)), np.tile(np.maximum(shift, 0), len(bias)),
                    Rounding.UP, 0, *WRAPS))
