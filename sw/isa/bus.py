"""The 32-bit window through which a bus sees a core: registers beside the core's own, and memory.

Gateware and drivers have these values; the C driver and ``docs/bus.md`` are held to them by a test.
"""

from __future__ import annotations

import enum

__all__ = ["BUS_VERSION", "CORE_REGISTERS", "BASE_ALIGNMENT", "RESPONSE_SHIFT", "BusRegister",
           "Interrupt", "BusError", "BusResponse", "Feature", "memory_offset", "window_bytes"]

BUS_VERSION = 1
CORE_REGISTERS = 128      # indices 0 to 127 are the core's own registers (``Register``)
BASE_ALIGNMENT = 4096     # bytes; of OUTSIDE_BASE, for no burst crosses such a boundary
RESPONSE_SHIFT = 2        # the response code's place in BUS_ERROR
_SMALLEST_OFFSET = 4096   # bytes of the window that registers have at least


class BusRegister(enum.IntEnum):
    """Indices of the bus's own registers; the byte offset in the window is four times the index."""

    BUS_VERSION = 128        # reads BUS_VERSION
    IRQ_STATUS = 129         # Interrupt; writing 1 clears a bit
    IRQ_ENABLE = 130         # Interrupt; those that reach the interrupt line
    BUS_ERROR = 131          # BusError, and a BusResponse; writing anything clears it
    BUS_ERROR_ADDRESS = 132  # device address of the access, with bit 31
    OUTSIDE_BASE_LOW = 133   # bus address of device address 0x8000_0000, low and high 32 bits
    OUTSIDE_BASE_HIGH = 134
    MEMORY_OFFSET = 135      # byte offset of on-chip memory in the window; 0: there is none
    FEATURES = 136           # Feature


class Interrupt(enum.IntFlag):
    """Bits of IRQ_STATUS and IRQ_ENABLE."""

    RUN_ENDED = 1
    BUS_ERROR = 2


class BusError(enum.IntFlag):
    """Bits of BUS_ERROR; bits 3:2 are the ``BusResponse``."""

    HELD = 1    # an error is held, and no other one is until this is cleared
    WRITE = 2   # it was a write


class BusResponse(enum.IntEnum):
    """Response codes as AXI has them (Arm IHI 0022, RRESP and BRESP); Wishbone's ERR is SLVERR."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class Feature(enum.IntFlag):
    """Bits of FEATURES."""

    OUTSIDE = 1   # there is a master port to outside memory


def memory_offset(memory_bytes: int) -> int:
    """Byte offset of ``memory_bytes`` of on-chip memory in the window; 0 where there is none."""
    if not memory_bytes:
        return 0
    return max(_SMALLEST_OFFSET, 1 << (memory_bytes - 1).bit_length())


def window_bytes(memory_bytes: int) -> int:
    """Size of the window in bytes, a power of two: half of it is registers, half memory."""
    return 2 * max(_SMALLEST_OFFSET, memory_offset(memory_bytes))
