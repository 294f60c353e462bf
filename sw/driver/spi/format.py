"""What both ends of the link over SPI keep to."""

from __future__ import annotations

__all__ = ["CYCLES_OF_BYTE", "CYCLES_OF_SCK", "highest_pace"]

# Of the device's clock, in a period of SCK at least. CIPO is right 3 cycles after an edge, so 3 are
# left for pads and cable.
CYCLES_OF_SCK = 6
CYCLES_OF_BYTE = 8 * CYCLES_OF_SCK


def highest_pace(clock_hz: float) -> int:
    """Bytes a second at the highest SCK of a device whose clock is ``clock_hz``."""
    return int(clock_hz) // CYCLES_OF_BYTE
