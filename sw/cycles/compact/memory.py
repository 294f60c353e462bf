"""Cycle model of a compact core's two memories: when accesses are taken and answered."""

from __future__ import annotations

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.sdram import Sdram
from kaniwa.isa import OUTSIDE
from kaniwa.timing import Timing

__all__ = ["CompactMemories"]


class CompactMemories:
    """On-chip and outside memory, told of one access after the other, in the order of time.

    On chip an access is taken at once.
    """

    def __init__(self, config: AcceleratorConfig, outside: Timing) -> None:
        self._local = Timing.of(config).latency
        self._outside = outside
        self._chip = Sdram(outside.chip) if outside.chip else None
        self._merges = outside.chip is not None and not outside.chip.masked
        self._sizes = config.read_bytes, config.write_bytes
        self.free = 0        # from when on outside memory takes the next access

    @property
    def accesses(self) -> int:
        """Of a chip, whose cycles hang on addresses and on its refresh."""
        return self._chip.accesses if self._chip else 0

    def read(self, cycle: int, address: int) -> int:
        """When the word of a read comes that memory sees from ``cycle`` on."""
        if address < OUTSIDE:
            return cycle + self._local
        taken = max(cycle, self.free)
        if self._chip is not None:
            self.free, there = self._chip.access(
                taken, address - OUTSIDE, self._sizes[0], False)
            return there - 1     # the chip's model tells when the word is used
        busy = self._outside.bus_cycles(self._sizes[0])
        self.free = taken + max(busy, 1)
        return taken + max(busy, 1) - 1 + self._outside.latency

    def write(self, cycle: int, address: int) -> int:
        """When outside memory takes a byte that is before it from ``cycle`` on."""
        taken = max(cycle, self.free)
        if self._chip is not None:
            self.free, _ = self._chip.access(
                taken, address - OUTSIDE, self._sizes[1], True, self._sizes[0] * self._merges)
        else:
            self.free = taken + max(self._outside.bus_cycles(self._sizes[1]), 1)
        return taken
