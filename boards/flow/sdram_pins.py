"""The pins of an SDRAM chip on a board."""

from __future__ import annotations

from typing import Any

from amaranth import *
from amaranth.lib import io

__all__ = ["SdramPins"]


class SdramPins(Elaboratable):
    """Puts a controller's ``pins`` on the platform's ``resource``, with a register at each pin.

    A pin that the board ties to a level is left out of the resource. The registers begin at 0, at
    which a chip that is always selected takes a command: its clock begins when they are idle.

    The chip's clock is that of the domain ``sdram``, which on ECP5 is three quarters of a cycle
    behind. At 100 MHz a command has 7.5 ns to come to the chip. With a CAS latency of 2 a word is
    there 16 to 22.5 ns behind the chip's clock of its command (tAC of 6 ns, tOH of 2.5: Alliance
    AS4C16M16SA-C&I rev. 3.0, table 16), and is taken at 22.5 ns, less what the ways to the chip and
    back take.

    On Gowin it is seven eighths. At 40.5 MHz a command has 21.6 ns. With the same times a word is
    there 30.7 to 51.9 ns behind the chip's clock, and is taken at 52.5 ns, less what the ways take.
    Three quarters would ask for ways of 3.7 ns. A command is held for 3.1 ns, where tIH is 1.
    """

    def __init__(self, pins: Any, resource: str):
        self._pins, self._resource = pins, resource

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pins = self._pins
        names = [pin.name for pin in platform.lookup(self._resource).ios]
        ports = platform.request(self._resource, dir=dict.fromkeys(names, "-"))
        m.submodules.clk = clock = io.DDRBuffer("o", ports.clk, o_domain="sdram")
        runs = Const(1)
        if not {"cs", "clk_en"} & set(names):
            runs = Signal()
            m.d.sync += runs.eq(1)
        m.d.comb += [clock.o[0].eq(runs), clock.o[1].eq(0)]
        ras, cas, we = pins.command
        for name, value in (("clk_en", 1), ("cs", 1), ("ras", ras), ("cas", cas), ("we", we),
                            ("ba", pins.bank), ("a", pins.address),
                            ("dqm", getattr(pins, "mask", None))):
            if name in names:
                m.submodules[name] = buffer = io.FFBuffer("o", getattr(ports, name))
                m.d.comb += buffer.o.eq(value)
        m.submodules.dq = data = io.FFBuffer("io", ports.dq)
        m.d.comb += [data.o.eq(pins.to_chip), data.oe.eq(pins.drive),
                     pins.from_chip.eq(data.i)]
        return m
