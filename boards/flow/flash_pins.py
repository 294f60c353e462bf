"""The pins of the SPI flash that a board's FPGA starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth import *

__all__ = ["FlashPins"]


class FlashPins(Elaboratable):
    """Puts ``pins`` (``cs``, ``sck``, ``copi``, ``cipo``) on the platform's ``resource``.

    ``clock`` makes what drives the chip's clock where that is no pin of the design's, else it is
    None. The chip is never write-protected or held.
    """

    def __init__(self, pins: Any, resource: str, clock: Callable[[Value], Instance] | None):
        self._pins, self._resource, self._clock = pins, resource, clock

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pins = self._pins
        flash = platform.request(self._resource)
        m.d.comb += [flash.cs.o.eq(pins.cs), flash.copi.o.eq(pins.copi),
                     pins.cipo.eq(flash.cipo.i), flash.wp.o.eq(0), flash.hold.o.eq(0)]
        if self._clock is None:
            m.d.comb += flash.clk.o.eq(pins.sck)
        else:
            m.submodules.clock = self._clock(pins.sck)
        return m
