"""The accelerator as a module of LiteX, and the one line that puts it into a SoC."""

from __future__ import annotations

import re
from typing import Any

from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.errors import ConfigError
from kaniwa.extras import needed
from kaniwa.generate.design import DATA_BITS, Design
from kaniwa.generate.verilog import Port
from kaniwa.integrations.litex.sources import kept_sources
from kaniwa.isa.bus import window_bytes

with needed("a LiteX peripheral", "litex"):
    from litex.gen import LiteXModule
    from litex.soc.integration.soc import SoCRegion
    from litex.soc.interconnect import axi, wishbone
    from migen import ClockSignal, Instance, ResetSignal, Signal

__all__ = ["KaniwaPeripheral", "add_kaniwa"]

ADDRESS_BITS = 32     # of a byte address, on LiteX's buses and of the master
OUTSIDE = ("bus", "sdram")
CHANNEL = re.compile("(aw|ar|w|b|r)(.+)")


class Interrupt:
    """A level; LiteX looks for ``irq``."""

    def __init__(self) -> None:
        self.irq = Signal()


class KaniwaPeripheral(LiteXModule):
    """The accelerator of ``design``, whose Verilog becomes a source of LiteX's ``platform``.

    ``control``: the slave of 32 bits, AXI4-Lite or Wishbone. ``memory``: the master for memory
    outside, AXI4 or Wishbone, None without. ``ev.irq``: the interrupt. ``window_bytes``: of the
    slave. It runs in the clock domain ``sys``. Raises ConfigError and BuildError, as
    ``kept_sources`` does.
    """

    def __init__(self, platform: Any, design: Design) -> None:
        if design.bus not in ("axi4", "wishbone"):
            raise ConfigError(f"bus must be axi4 or wishbone in a LiteX SoC, not {design.bus!r}")
        self.design = design
        self.sources = kept_sources(design)
        self.window_bytes = window_bytes(design.config.memory_bytes)
        self.ev = Interrupt()
        signals = {port.name: Signal(port.width, name=port.name) for port in self.sources.ports}
        self.specials += Instance(
            design.name, i_clk=ClockSignal("sys"), i_rst=ResetSignal("sys"),
            **{f"{'o' if port.output else 'i'}_{port.name}": signals[port.name]
               for port in self.sources.ports})
        self.comb += self.ev.irq.eq(signals["irq"])
        self.control, self.memory = self._control(), self._memory()
        for port in self.sources.ports:
            if port.side:
                self._connect(port, signals[port.name])
        platform.add_source(str(self.sources.verilog))

    def _control(self) -> Any:
        if self.design.bus == "axi4":
            return axi.AXILiteInterface(data_width=32, address_width=ADDRESS_BITS)
        return wishbone.Interface(data_width=32, address_width=ADDRESS_BITS, addressing="word")

    def _memory(self) -> Any:
        """The master, as wide as the port for its data."""
        widths = {port.name: port.width for port in self.sources.ports}
        if not self.design.outside:
            return None
        if self.design.bus == "axi4":
            return axi.AXIInterface(data_width=widths["m_axi_wdata"], address_width=ADDRESS_BITS,
                                    id_width=widths["m_axi_awid"], bursting=True)
        return wishbone.Interface(data_width=widths["m_wb_dat_w"], address_width=ADDRESS_BITS,
                                  addressing="word", bursting=True)

    def _connect(self, port: Port, own: Any) -> None:
        """Wire ``own``, the signal at ``port``, to that of the same name in LiteX's interface."""
        interface = self.control if port.side.startswith("s_") else self.memory
        member = port.name.removeprefix(f"{port.side}_")
        if self.design.bus == "axi4":
            found = CHANNEL.fullmatch(member)
            assert found is not None
            interface, member = getattr(interface, found[1]), found[2]
        theirs = getattr(interface, member)
        # The slave has the address bits of its window alone.
        self.comb += theirs.eq(own) if port.output else own.eq(theirs[:port.width])


def add_kaniwa(soc: Any, target: str = "base", name: str = "kaniwa", *, origin: int | None = None,
               outside: str | None = None, bus: str | None = None) -> KaniwaPeripheral:
    """Put an accelerator into a LiteX ``soc``: registers on its bus, interrupt, and memory.

    ``target``: a preset or a TOML file. ``name``: of the module, the region and the interrupt.
    ``origin``: address of the window, a multiple of its size; by default LiteX finds a place.
    ``outside``: how it reaches memory outside it. "bus" is a master on the SoC's bus, "sdram" a
    port of its own at the SoC's ``sdram``, beside the L2 cache. ``bus``: axi4 or wishbone, by
    default that of the SoC. Raises ConfigError for what does not fit together, and BuildError
    where no Verilog can be made.
    """
    if outside not in (None, *OUTSIDE):
        raise ConfigError(f"outside must be {' or '.join(OUTSIDE)}, or None, not {outside!r}")
    if hasattr(soc, name):
        raise ConfigError(f"the SoC has a module '{name}' already: give another name")
    if bus is None:
        bus = "wishbone" if soc.bus.standard == "wishbone" else "axi4"
    config = load_target(target)
    design = Design(config, bus, name, outside is not None, _data_bits(soc, outside, config),
                    int(soc.sys_clk_freq))
    made = KaniwaPeripheral(soc.platform, design)
    soc.add_module(name=name, module=made)
    soc.bus.add_slave(name=name, slave=made.control, region=SoCRegion(
        origin=origin, size=made.window_bytes, mode="rw", cached=False))
    if outside == "bus":
        soc.bus.add_master(name=f"{name}_memory", master=made.memory)
    elif outside == "sdram":
        _add_sdram_port(soc, made)
    if soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)
    return made


def _data_bits(soc: Any, outside: str | None, config: AcceleratorConfig) -> int | None:
    """Width of the master: that of the SoC's bus, or the one nearest to the memory controller's."""
    if outside is None:
        return None
    fitting = [bits for bits in DATA_BITS if bits <= 8 * config.read_bytes]
    if outside == "bus":
        # A converter of LiteX's between two widths would lose errors of the bus.
        if soc.bus.data_width not in fitting:
            raise ConfigError(
                f"the SoC's bus must have {', '.join(map(str, fitting))} bits for target "
                f"'{config.name}', not {soc.bus.data_width}: give the SoC another bus_data_width, "
                "or outside='sdram'")
        return int(soc.bus.data_width)
    if not hasattr(soc, "sdram"):
        raise ConfigError("outside='sdram' takes a SoC with an SDRAM: call add_sdram first")
    return max([bits for bits in fitting if bits <= soc.sdram.crossbar.controller.data_width]
               or fitting[:1])


def _add_sdram_port(soc: Any, made: KaniwaPeripheral) -> None:
    """Connect the master to a port of the memory controller, which has the width of both."""
    with needed("a port of LiteDRAM", "litex"):
        from litedram.frontend.axi import LiteDRAMAXI2Native
        from litedram.frontend.wishbone import LiteDRAMWishbone2Native

    port = soc.sdram.crossbar.get_port(data_width=made.memory.data_width)
    base = soc.bus.regions["main_ram"].origin
    if made.design.bus == "axi4":
        soc.submodules += LiteDRAMAXI2Native(made.memory, port, base_address=base)
    else:
        soc.submodules += LiteDRAMWishbone2Native(made.memory, port, base_address=base)
