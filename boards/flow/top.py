"""The top of every board: clock, reset, and the accelerator between its pins."""

from __future__ import annotations

from typing import Any

from amaranth import *
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import connect

from kaniwa.boards.board import Board, Sdram
from kaniwa.boards.families.family import Pll, load_family
from kaniwa.boards.flow.sdram_pins import SdramPins
from kaniwa.config import AcceleratorConfig
from kaniwa.driver.transports import BITS_A_BYTE
from kaniwa.hw.accelerator import Accelerator
from kaniwa.hw.cores import Cores
from kaniwa.hw.link.uart import Uart
from kaniwa.hw.sdram.controller import SdramController
from kaniwa.sdram_parts import PARTS

__all__ = ["BoardTop", "COUNTER_TAGS"]

COUNTER_TAGS = 64   # layers whose counters are kept


class BoardTop(Elaboratable):
    """The accelerator on a board, in one clock domain that runs at the target's clock.

    The host reaches it over a UART of ``baud``, by default the board's. ``pace``: bytes a second
    that the board tells the host, by default those of the UART. ``cores``: how many there are, each
    with its own memory.
    """

    def __init__(self, board: Board, config: AcceleratorConfig, mhz: float, *,
                 baud: int | None = None, pace: int | None = None, cores: int = 1):
        self._board, self._config, self._mhz = board, config, mhz
        self._cores = cores
        self._baud = baud or board.baud
        self._pace = pace or self._baud // BITS_A_BYTE

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        family = load_family(self._board.family)
        pll: Pll = family.pll(platform.default_clk_frequency, self._mhz,
                              self._board.device)
        m.domains.sync = sync = ClockDomain()
        sdram = self._board.sdram
        clocks = [sync.clk]
        if sdram is not None:
            m.domains.sdram = late = ClockDomain(local=True, reset_less=True)
            clocks.append(late.clk)
        locked = pll.add(m, platform, *clocks)
        # The reset's own flip-flops are by the PLL, in a corner of the device: it takes two more
        # cycles on its way to all registers.
        m.domains.pll = beside = ClockDomain(local=True)
        m.submodules.reset = ResetSynchronizer(~locked, domain="pll")
        on_the_way = Signal(2, init=3, reset_less=True)
        m.d.comb += beside.clk.eq(sync.clk)
        m.d.pll += on_the_way.eq(Cat(beside.rst, on_the_way))
        m.d.comb += sync.rst.eq(on_the_way[-1])

        m.submodules.uart = uart = Uart(pll.hz, self._baud)
        options = dict(pace=self._pace, memory=family.memory, clock_hz=pll.hz,
                       counter_tags=COUNTER_TAGS, multiplier=family.multiplier(self._config))
        m.submodules.accelerator = accelerator = (
            Accelerator(self._config, outside=sdram is not None, **options) if self._cores == 1
            else Cores(self._config, self._cores, **options))
        connect(m, uart.o, accelerator.rx)
        connect(m, accelerator.tx, uart.i)
        pins = platform.request(self._board.link)
        m.d.comb += [uart.rx.eq(pins.rx.i), pins.tx.o.eq(uart.tx)]
        if sdram is not None:
            self._add_sdram(m, sdram, accelerator)
        return m

    def _add_sdram(self, m: Module, sdram: Sdram, accelerator: Accelerator) -> None:
        """The chip behind the accelerator's ports for outside memory."""
        part = PARTS[sdram.part]
        m.submodules.sdram = controller = SdramController(self._config, part, self._mhz)
        m.submodules.sdram_pins = SdramPins(controller.pins, sdram.resource)
        connect(m, accelerator.outside_read, controller.read)
        connect(m, accelerator.outside_write, controller.write)
