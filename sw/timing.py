"""Memory timing: what the cycle model and the cycle counts of the units share."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.outside import parse_outside

__all__ = ["NEVER", "READS_IN_FLIGHT", "Timing"]

NEVER = 1 << 62        # a cycle that does not come
READS_IN_FLIGHT = 32   # on a side of memory


@dataclass(frozen=True)
class Timing:
    """Of a memory side: cycles from request to response, bytes a cycle of a bus, 0 for no limit."""

    latency: int
    bus_bytes: int = 0

    @classmethod
    def of(cls, config: AcceleratorConfig, outside: str | None = None) -> Timing:
        """That of outside memory as the compiler names it; ideal is as fast as on-chip memory."""
        if not outside or not outside.startswith("sdram"):
            return cls(config.memory_latency)
        memory = parse_outside(outside)
        assert memory is not None
        return cls(max(1, memory.latency), memory.bytes)

    def bus_cycles(self, size: int) -> int:
        """Cycles for which an access of ``size`` bytes has the bus; 0 where there is no limit."""
        return -(-size // self.bus_bytes) if self.bus_bytes else 0
