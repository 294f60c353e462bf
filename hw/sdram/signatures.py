"""Pins of an SDRAM chip, and its commands."""

import enum

from amaranth.lib.wiring import In, Out, Signature

from kaniwa.sdram_parts import BANKS, Part

__all__ = ["ROW_PINS", "ALL_BANKS", "Command", "pins_signature"]

ROW_PINS = 13     # address pins; a row of a part of fewer rows leaves the upper ones at 0
ALL_BANKS = 10    # the address pin that makes a precharge one of all banks


class Command(enum.IntEnum):
    """Commands of SDR SDRAM, as the asserted ones of ras (bit 0), cas (bit 1) and we (bit 2).

    Source: data sheet of IS42S16160G, command truth table.
    """

    NOTHING = 0b000
    ACTIVATE = 0b001
    READ = 0b010
    REFRESH = 0b011
    PRECHARGE = 0b101
    WRITE = 0b110
    LOAD_MODE = 0b111


def pins_signature(part: Part, masked: bool = True) -> Signature:
    """Pins of the chip, seen from the controller, 1 where asserted.

    What goes to the chip is registered once more at its pin, and so is what comes from it: a
    command is at the chip in the cycle after the one in which it is here. Only where the chip is
    ``masked`` there is a ``mask``.
    """
    mask = {"mask": Out(part.width)} if masked else {}   # a byte that is not written
    return Signature({
        "command": Out(3),          # ras, cas, we
        "bank": Out(range(BANKS)),
        "address": Out(ROW_PINS),
        **mask,
        "drive": Out(1),            # ``to_chip`` is on the data pins
        "to_chip": Out(8 * part.width),
        "from_chip": In(8 * part.width),
    })
