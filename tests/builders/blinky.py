"""A design of a few cells in place of a board's own, which is built in seconds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amaranth import Cat, ClockDomain, Elaboratable, Module, Signal

from kaniwa.boards.families.family import load_family
from kaniwa.config import AcceleratorConfig


def clock_and_link(m: Module, platform: Any, board: Any, mhz: float) -> Any:
    """Clock ``m`` by the board's PLL; gives the pins of its link."""
    pll = load_family(board.family).pll(platform.default_clk_frequency, mhz, board.device)
    m.domains.sync = sync = ClockDomain(reset_less=True)
    pll.add(m, platform, sync.clk)
    if board.link is None:     # its socket leads to pins of the FPGA
        pins = platform.request(board.usb.resource)
        return SimpleNamespace(rx=pins.d_p, tx=pins.pullup)
    return platform.request(board.link)


class Blinky(Elaboratable):
    """A counter at the PLL's clock with its top bit on the link's pin; a child block adds to it."""

    def __init__(self, board: Any, config: AcceleratorConfig, mhz: float,
                 cores: int = 1, standalone: bool = False) -> None:
        self._board, self._mhz = board, mhz
        self.verilog: dict[str, str] = {}

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        uart = clock_and_link(m, platform, self._board, self._mhz)
        m.submodules.control = control = Module()
        count, step = Signal(16), Signal(4)
        control.d.sync += step.eq(Cat(uart.rx.i, step))
        m.d.sync += count.eq(count + step)
        m.d.comb += uart.tx.o.eq(count[-1])
        return m
