"""What the start of DDR3 memory asks of the controller and of the PHY in front of the chips."""

import enum
from dataclasses import dataclass

from amaranth.lib.wiring import In, Out, Signature

__all__ = ["ADDRESS_BITS", "BEATS", "PHASES", "Ddr3Shape", "Command", "Control", "start_signature"]

ADDRESS_BITS = 32      # of a byte, at the controller's port
BEATS = 8       # words of the chips in a burst
PHASES = 2      # clocks of the chips in a cycle of the controller


class Control(enum.IntFlag):
    """LiteDRAM's DFII_CONTROL: who gives the commands, and levels of the chips' pins."""

    HARDWARE = 1     # the controller, else the start
    CKE = 2
    ODT = 4
    RESET_N = 8


class Command(enum.IntFlag):
    """LiteDRAM's DFII_COMMAND: asserted pins of a command, and what goes with it."""

    CS = 1
    WE = 2
    CAS = 4
    RAS = 8
    WRITE_DATA = 16
    READ_DATA = 32

    @classmethod
    def of_row(cls) -> "Command":
        """Open a row."""
        return cls.CS | cls.RAS

    @classmethod
    def of_write(cls) -> "Command":
        """Write a burst."""
        return cls.CS | cls.CAS | cls.WE | cls.WRITE_DATA

    @classmethod
    def of_read(cls) -> "Command":
        """Read a burst."""
        return cls.CS | cls.CAS | cls.READ_DATA

    @classmethod
    def of_precharge(cls) -> "Command":
        """Close a row."""
        return cls.CS | cls.RAS | cls.WE

    @classmethod
    def of_refresh(cls) -> "Command":
        """Refresh rows."""
        return cls.CS | cls.RAS | cls.CAS


@dataclass(frozen=True)
class Ddr3Shape:
    """Chips beside each other: ``lanes`` of a byte with a strobe each, and address pins of rows and
    banks."""

    lanes: int
    row_pins: int
    bank_pins: int = 3

    @property
    def burst_bits(self) -> int:
        """Of a burst, which is one beat of the controller's port."""
        return 8 * self.lanes * BEATS


def start_signature(shape: Ddr3Shape) -> Signature:
    """Commands past the controller, and the settings of the PHY, seen from the start.

    ``issue``: a clock of the chips each, with ``command``, ``bank`` and ``address`` in it.
    ``written`` and ``read``: a burst, its first word lowest; ``read`` keeps the last one.
    ``lane``: those whose settings may change; a lane takes nothing meanwhile. ``delay_*``: of its
    strobe. ``slip_*``: of the words from it, by one each. ``burst_seen``: its strobe was seen since
    ``burst_clear``.
    """
    return Signature({
        "control": Out(4),
        "issue": Out(PHASES),
        "command": Out(6),
        "bank": Out(shape.bank_pins),
        "address": Out(shape.row_pins),
        "written": Out(shape.burst_bits),
        "read": In(shape.burst_bits),
        "lane": Out(shape.lanes),
        "delay_reset": Out(1), "delay_next": Out(1),
        "slip_reset": Out(1), "slip_next": Out(1),
        "burst_clear": Out(1), "burst_seen": In(shape.lanes),
    })
