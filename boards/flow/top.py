"""The top of every board: clock, reset, and the accelerator between its pins."""

from __future__ import annotations

import ipaddress
import math
from typing import Any

from amaranth import *
from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import connect

from kaniwa.boards.board import Board, Ddr3, Ethernet, Sdram, Spi, Usb, check_standalone
from kaniwa.boards.ddr3.ddr3_memory import CLOCK_INIT, CLOCK_TWICE, Ddr3Memory
from kaniwa.boards.ddr3.memory_core import MODULE, memory_core
from kaniwa.boards.ddr3.pads import memory_pads
from kaniwa.boards.families.family import Family, Pll, load_family
from kaniwa.boards.flow.flash_pins import FlashPins
from kaniwa.boards.flow.sdram_pins import SdramPins
from kaniwa.config import AcceleratorConfig
from kaniwa.driver.spi.format import highest_pace
from kaniwa.driver.transports import BITS_A_BYTE
from kaniwa.errors import BuildError
from kaniwa.extras import needed
from kaniwa.hw.accelerator import Accelerator
from kaniwa.hw.cores import Cores
from kaniwa.hw.ethernet.ethernet_link import EthernetLink
from kaniwa.hw.link.spi import SpiSlave
from kaniwa.hw.link.uart import Uart
from kaniwa.hw.link.usb import UsbSerial
from kaniwa.hw.memory.outside import Outside
from kaniwa.hw.sdram.controller import SdramController
from kaniwa.hw.standalone.boot import Boot
from kaniwa.hw.standalone.standalone import Standalone, spi_timing
from kaniwa.sdram_parts import PARTS

__all__ = ["BoardTop", "COUNTER_TAGS", "SPI_RESOURCE"]

COUNTER_TAGS = 64   # layers whose counters are kept
PHY_RESET_US = 10_000
SPI_RESOURCE = "link_spi"
OWN_MACS = 0x026B << 32   # of local administration; the device's address of IPv4 is the rest


class BoardTop(Elaboratable):
    """The accelerator on a board, in one clock domain that runs at the target's clock.

    The host reaches it over a UART of ``baud``, by default the board's, over Ethernet, SPI or USB.
    ``pace``: bytes a second that the board tells the host, by default those of the link.
    ``cores``: how many there are, each with its own memory. ``standalone``: it loads a program
    from its flash at power-up and shows classes; ConfigError for a board without flash, and for
    several cores.
    """

    def __init__(self, board: Board, config: AcceleratorConfig, mhz: float, *,
                 baud: int | None = None, pace: int | None = None, cores: int = 1,
                 standalone: bool = False):
        if standalone:
            check_standalone(board, cores)
        self._standalone = standalone
        # Of modules that are not Amaranth's, by file name; known once this was elaborated.
        self.verilog: dict[str, str] = {}
        self._board, self._config, self._mhz = board, config, mhz
        self._cores = cores
        self._baud = baud or board.baud
        own = board.pace if board.ethernet or board.by_usb else self._baud // BITS_A_BYTE
        self._pace = pace or (highest_pace(mhz * 1e6) if board.by_spi else own)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        family = load_family(self._board.family)
        m.domains.sync = sync = ClockDomain()
        sdram, ddr3 = self._board.sdram, self._board.ddr3
        if ddr3 is not None:
            pll, locked = self._add_ddr3(m, ddr3, platform, family)
        else:
            pll = family.pll(platform.default_clk_frequency, self._mhz, self._board.device)
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

        outside = Outside.CALIBRATED if ddr3 is not None else Outside(sdram is not None)
        options = dict(pace=self._pace, memory=family.memory, clock_hz=pll.hz,
                       overlap=self._board.overlap,
                       counter_tags=COUNTER_TAGS, multiplier=family.multiplier(self._config))
        m.submodules.accelerator = accelerator = (
            Accelerator(self._config, outside=outside, local=self._standalone, **options)
            if self._cores == 1 else Cores(self._config, self._cores, **options))
        if self._board.by_spi:
            line = self._add_spi(m, self._board.spi, platform)
        elif self._board.by_usb:
            line = self._add_usb(m, self._board.usb, platform, family, pll)
        elif self._board.ethernet is None:
            m.submodules.uart = line = Uart(pll.hz, self._baud,
                                               tells=self._board.slot is not None)
            pins = platform.request(self._board.link)
            m.d.comb += [line.rx.eq(pins.rx.i), pins.tx.o.eq(line.tx)]
        else:
            line = self._add_ethernet(m, self._board.ethernet, family)
        if self._standalone:
            self._add_standalone(m, platform, family, line, accelerator)
        else:
            connect(m, line.o, accelerator.rx)
        connect(m, accelerator.tx, line.i)
        if sdram is not None:
            self._add_sdram(m, sdram, accelerator)
        if ddr3 is not None:
            connect(m, accelerator.outside_read, m.submodules.ddr3.read)
            connect(m, accelerator.outside_write, m.submodules.ddr3.write)
            m.d.comb += [accelerator.outside_ready.eq(m.submodules.ddr3.ready),
                         accelerator.outside_failed.eq(m.submodules.ddr3.failed)]
        return m

    def _add_ethernet(self, m: Module, ethernet: Ethernet, family: Family) -> EthernetLink:
        """The link behind a PHY, in the PHY's clock domain."""
        m.domains.ethernet = ClockDomain()
        m.submodules.ethernet_reset = ResetSynchronizer(ResetSignal("sync"), domain="ethernet")
        address = int(ipaddress.IPv4Address(ethernet.address))
        m.submodules.ethernet = link = EthernetLink(
            OWN_MACS | address, address, ring_bytes=ethernet.ring_bytes,
            bank_bytes=ethernet.bank_bytes)
        m.submodules.phy = phy = family.rgmii(ethernet.resource, ethernet.receive_ns,
                                              ethernet.send_ns)
        # A PHY is held in reset once, while its supplies and its clock settle.
        cycles = math.ceil(self._mhz * PHY_RESET_US)
        waited = Signal(range(cycles + 1))
        m.d.comb += phy.reset.eq(waited != cycles)
        with m.If(phy.reset):
            m.d.sync += waited.eq(waited + 1)
        connect(m, phy.received, link.received)
        connect(m, link.sent, phy.sent)
        return link

    def _add_standalone(self, m: Module, platform: Any, family: Family, line: Any,
                        accelerator: Accelerator) -> None:
        """The start from flash between line and accelerator, and its LEDs."""
        flash, slot = self._board.flash, self._board.slot
        boot = None if slot is None else Boot(slot, family.slots.IN_TURN)
        m.submodules.standalone = start = Standalone(
            self._config, flash.image_at(slot or 0), boot=boot, **spi_timing(self._mhz))
        if boot is not None:
            m.d.comb += start.sending.eq(line.sending)
            m.submodules.restart = family.slots.restart(start.leave, start.slot, flash.program)
        clock = getattr(family, "flash_clock", None)
        m.submodules.flash_pins = FlashPins(start, flash.resource, clock)
        connect(m, line.o, start.line)
        connect(m, start.rx, accelerator.rx)
        connect(m, start.local, accelerator.local)
        m.d.comb += start.busy.eq(accelerator.busy)
        *numbers, shown = [platform.request(*pin).o for pin in self._board.class_pins]
        # Without a class they tell the state, if they are enough for it.
        otherwise = start.state if len(numbers) >= len(start.state) else 0
        m.d.comb += [shown.eq(start.valid),
                     Cat(numbers).eq(Mux(start.valid, start.number, otherwise))]

    def _add_spi(self, m: Module, spi: Spi, platform: Any) -> SpiSlave:
        """The link at four pins of a connector."""
        def pin(name: str, direction: str, **more: Any) -> Subsignal:
            return Subsignal(name, Pins(getattr(spi, name), dir=direction, conn=spi.connector),
                             Attrs(**spi.attributes, **more))

        platform.add_resources([Resource(
            SPI_RESOURCE, 0, pin("cs_n", "i", **spi.pull_up), pin("sck", "i"), pin("copi", "i"),
            pin("cipo", "oe"))])
        pins = platform.request(SPI_RESOURCE)
        m.submodules.spi = line = SpiSlave(tells=self._board.slot is not None)
        m.d.comb += [line.cs_n.eq(pins.cs_n.i), line.sck.eq(pins.sck.i), line.copi.eq(pins.copi.i),
                     pins.cipo.o.eq(line.cipo), pins.cipo.oe.eq(line.cipo_enable)]
        return line

    def _add_usb(self, m: Module, usb: Usb, platform: Any, family: Family, pll: Pll) -> UsbSerial:
        """The link at D+ and D-, in clock domains of a PLL of their own."""
        m.domains.usb_io = io = ClockDomain()
        m.domains.usb = device = ClockDomain()
        locked = family.usb_pll(platform.default_clk_frequency).add(m, pll.source, io.clk,
                                                                    device.clk)
        off = Signal()
        m.d.comb += off.eq(~locked | ResetSignal("sync"))
        m.submodules.usb_io_reset = ResetSynchronizer(off, domain="usb_io")
        m.submodules.usb_reset = ResetSynchronizer(off, domain="usb")
        with needed("a board behind USB", "bitstream", BuildError):
            m.submodules.usb = line = UsbSerial(self._board.name)
        pins = platform.request(usb.resource)
        m.d.comb += [line.d_p_in.eq(pins.d_p.i), line.d_n_in.eq(pins.d_n.i),
                     pins.d_p.o.eq(line.d_p_out), pins.d_n.o.eq(line.d_n_out),
                     pins.d_p.oe.eq(line.drive), pins.d_n.oe.eq(line.drive),
                     pins.pullup.o.eq(line.pull_up)]
        return line

    def _add_sdram(self, m: Module, sdram: Sdram, accelerator: Accelerator) -> None:
        """The chip behind the accelerator's ports for outside memory."""
        part = PARTS[sdram.part]
        m.submodules.sdram = controller = SdramController(
            self._config, part, self._mhz, masked=sdram.masked)
        m.submodules.sdram_pins = SdramPins(controller.pins, sdram.resource)
        connect(m, accelerator.outside_read, controller.read)
        connect(m, accelerator.outside_write, controller.write)

    def _add_ddr3(self, m: Module, ddr3: Ddr3, platform: Any, family: Family) -> tuple[Pll, Value]:
        """The chip with its controller, and the clocks of both; gives what tells that they run."""
        clocks = family.ddr3_clocks(platform.default_clk_frequency, self._mhz, ddr3.bridge)
        core = memory_core(ddr3, self._mhz)
        self.verilog[f"{MODULE}.v"] = core.verilog
        m.submodules.ddr3 = memory = Ddr3Memory(
            self._config, core, memory_pads(m, ddr3, core.shape, platform))
        twice, init = ClockDomain(CLOCK_TWICE), ClockDomain(CLOCK_INIT)
        m.domains += twice, init
        locked = clocks.add(m, platform, ClockSignal("sync"), twice.clk, init.clk, memory.stop,
                            memory.reset)
        runs = Signal()
        m.d.comb += runs.eq(locked & ~memory.reset)
        for domain, there in ((CLOCK_TWICE, runs), (CLOCK_INIT, locked)):
            m.submodules[f"{domain}_reset"] = ResetSynchronizer(~there, domain=domain)
        return clocks, runs
