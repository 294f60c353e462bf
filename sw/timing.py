"""Memory timing: what the cycle model and the cycle counts of the units share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kaniwa.config import AcceleratorConfig
from kaniwa.litedram_modules import MODULES, LiteDramTiming
from kaniwa.outside import parse_outside
from kaniwa.sdram_parts import PARTS, ChipTiming

__all__ = ["NEVER", "READS_IN_FLIGHT", "Timing"]

NEVER: Final = 1 << 61   # a cycle that does not come
READS_IN_FLIGHT: Final = 32   # on a side of memory
CONTROLLER = 3         # cycles of the core before a chip's first clock and behind its last
MASTER = 14            # cycles of a read in the bus master, LiteDRAM's adapter and its crossbar


@dataclass(frozen=True)
class Timing:
    """Of a memory side: cycles from request to response, bytes a cycle of a bus, 0 for no limit.

    With a ``chip`` the cycles of an access hang on its rows and its refresh too. ``latency`` is
    then that of a row to be opened first. With ``litedram`` they hang on LiteDRAM's controller.
    """

    latency: int
    bus_bytes: int = 0
    chip: ChipTiming | None = None
    litedram: LiteDramTiming | None = None

    @classmethod
    def of(cls, config: AcceleratorConfig, outside: str | None = None) -> Timing:
        """That of outside memory as the compiler names it; ideal is as fast as on-chip memory."""
        if not outside or not outside.startswith(("sdram", "litedram")):
            return cls(config.memory_latency)
        memory = parse_outside(outside)
        assert memory is not None
        if memory.module:
            litedram = LiteDramTiming.of(MODULES[memory.module], memory.clock, memory.bytes,
                                         memory.phy)
            return cls(MASTER + litedram.rcd + litedram.read_latency,
                       litedram.width // litedram.ccd, litedram=litedram)
        if memory.part:
            chip = ChipTiming.of(PARTS[memory.part], memory.clock, memory.ratio, memory.masked)
            opened = -(-(chip.rcd + chip.cas) // chip.ratio)
            return cls(CONTROLLER + opened, memory.bytes, chip)
        return cls(max(1, memory.latency), memory.bytes)

    def bus_cycles(self, size: int) -> int:
        """Cycles for which an access of ``size`` bytes has the bus; 0 where there is no limit."""
        return -(-size // self.bus_bytes) if self.bus_bytes else 0
