"""What a design has as memory beyond the chip."""

import enum

__all__ = ["Outside"]


class Outside(enum.IntEnum):
    """``NONE`` and ``THERE`` are as False and True."""

    NONE = 0
    THERE = 1
    CALIBRATED = 2    # from power-up on; it may fail then
