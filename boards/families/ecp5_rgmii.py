"""The pins of a gigabit Ethernet PHY with RGMII on ECP5."""

from __future__ import annotations

from typing import Any

from amaranth import *
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from kaniwa.boards.board import PHY_HZ
from kaniwa.hw.ethernet.frame import gmii

__all__ = ["Ecp5Rgmii"]

TAP_PS = 25             # of a delay at a pin, as ecp5rgmii.py of LiteEth counts them
MOST_TAPS = 127


class Ecp5Rgmii(wiring.Component):
    """A byte a cycle of ``ethernet`` from and to the PHY, the lower half at the rising edge.

    ``ethernet`` is the PHY's receive clock, which is also sent back with what goes to it (RGMII 1.3
    and 2.0). Where the PHY does not shift a clock against its data by a quarter of a cycle, the
    pins do: ``receive_ns`` delays what comes, ``send_ns`` the clock beside what goes. ``reset``
    holds the PHY in reset.
    Latency: that of the registers at the pins, and a cycle more each way.
    """

    def __init__(self, resource: str, receive_ns: float, send_ns: float):
        self._resource = resource
        self._receive_taps, self._send_taps = (_taps(ns) for ns in (receive_ns, send_ns))
        super().__init__({"received": Out(gmii()), "sent": In(gmii()), "reset": In(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        names = ("tx_clk", "tx_ctrl", "tx_data", "rx_clk", "rx_ctrl", "rx_data")
        ports = platform.request(self._resource, dir=dict.fromkeys(names, "-"))
        m.d.comb += ports.rst.o.eq(self.reset)
        m.submodules.clock = clock = io.Buffer("i", ports.rx_clk)
        platform.add_clock_constraint(ports.rx_clk.io, PHY_HZ)
        m.d.comb += ClockSignal("ethernet").eq(clock.i)

        low, high = Signal(5), Signal(5)     # of four bits of data, and of the control line
        for name, port, first in (("data", ports.rx_data, 0), ("control", ports.rx_ctrl, 4)):
            m.submodules[f"receive_{name}"] = buffer = io.Buffer("i", port)
            for bit in range(len(port)):
                self._receive(m, f"{name}_{bit}", buffer.i[bit], low[first + bit],
                              high[first + bit])
        m.d.ethernet += [self.received.data.eq(Cat(low[:4], high[:4])),
                         self.received.valid.eq(low[4])]

        m.submodules.send_clock = buffer = io.Buffer("o", ports.tx_clk)
        self._send(m, "clock", 1, 0, self._send_taps, buffer.o)
        kept = Signal(9)
        m.d.ethernet += kept.eq(Cat(self.sent.data, self.sent.valid))
        for name, port, first, second in (("data", ports.tx_data, kept[:4], kept[4:8]),
                                          ("control", ports.tx_ctrl, kept[8], kept[8])):
            m.submodules[f"send_{name}"] = buffer = io.Buffer("o", port)
            for bit in range(len(port)):
                self._send(m, f"{name}_{bit}", first[bit], second[bit], 0, buffer.o[bit])
        return m

    def _receive(self, m: Module, name: str, pin: Value, low: Value, high: Value) -> None:
        delayed = Signal(name=f"delayed_{name}")
        m.submodules[f"delay_in_{name}"] = _delay(self._receive_taps, pin, delayed)
        m.submodules[f"double_in_{name}"] = Instance(
            "IDDRX1F", i_SCLK=ClockSignal("ethernet"), i_RST=C(0), i_D=delayed, o_Q0=low, o_Q1=high)

    def _send(self, m: Module, name: str, low: Any, high: Any, taps: int, pin: Value) -> None:
        given = Signal(name=f"given_{name}")
        m.submodules[f"double_out_{name}"] = Instance(
            "ODDRX1F", i_SCLK=ClockSignal("ethernet"), i_RST=C(0), i_D0=low, i_D1=high, o_Q=given)
        m.submodules[f"delay_out_{name}"] = _delay(taps, given, pin)


def _delay(taps: int, given: Value, delayed: Value) -> Instance:
    return Instance("DELAYG", p_DEL_MODE="SCLK_ALIGNED", p_DEL_VALUE=taps, i_A=given, o_Z=delayed)


def _taps(ns: float) -> int:
    taps = round(ns * 1000 / TAP_PS)
    assert 0 <= taps <= MOST_TAPS, ns
    return taps
