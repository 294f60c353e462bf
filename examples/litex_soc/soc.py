"""A SoC by LiteX: VexRiscv, memories, a UART, and the accelerator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from litedram.init import get_sdram_phy_c_header
from litedram.modules import MT48LC4M16
from litedram.phy.model import SDRAMPHYModel
from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.gen import LiteXModule
from litex.soc.integration import export
from litex.soc.integration.soc_core import SoCCore
from migen import ClockDomain

from kaniwa.integrations.litex import add_kaniwa

CLOCK_HZ = 50_000_000
CYCLES_OF_A_BIT = 10     # of the UART: a fast line makes a short simulation
PINS = [("clk", 0, Pins(1)), ("rst", 0, Pins(1)),
        ("serial", 0, Subsignal("tx", Pins(1)), Subsignal("rx", Pins(1)))]


def _words(contents: bytes) -> list[int]:
    words: list[int] = np.frombuffer(contents + bytes(-len(contents) % 4), "<u4").tolist()
    return words


class Clock(LiteXModule):
    """Clock and reset of all, from two pins."""

    def __init__(self, platform: Any) -> None:
        self.cd_sys = ClockDomain()
        self.comb += [self.cd_sys.clk.eq(platform.request("clk")),
                      self.cd_sys.rst.eq(platform.request("rst"))]


class AcceleratorSoC(SoCCore):
    """VexRiscv with ``rom_bytes`` of ROM and 8 KiB of RAM, and the accelerator of ``target``.

    ``outside``: with an SDRAM of 16 MiB, which the accelerator reaches that way; ``bus``: of the
    accelerator (see add_kaniwa). ``contents``: of the SDRAM, as a boot loader leaves it.
    ``options``: of SoCCore.
    """

    def __init__(self, target: str, rom_bytes: int, outside: str | None = None,
                 bus: str | None = None, contents: bytes = b"", **options: Any) -> None:
        super().__init__(
            GenericPlatform("simulation", PINS, name="soc"), CLOCK_HZ,
            cpu_type="vexriscv", cpu_variant="lite", integrated_rom_size=rom_bytes,
            integrated_sram_size=8 << 10, uart_baudrate=CLOCK_HZ // CYCLES_OF_A_BIT,
            with_timer=False, **options)
        self.crg = Clock(self.platform)
        if outside:
            module = MT48LC4M16(CLOCK_HZ, "1:1")     # two of them, 32 bits in all
            self.sdrphy = SDRAMPHYModel(module, data_width=32, clk_freq=CLOCK_HZ,
                                        init=_words(contents))
            # The cache is between bus and SDRAM: a port of the accelerator's own is beside it.
            self.add_sdram("sdram", phy=self.sdrphy, module=module,
                           l2_cache_size=8192 if outside == "bus" else 0)
        add_kaniwa(self, target, outside=outside, bus=bus)     # the one line

    def write_headers(self, folder: Path) -> None:
        """What C and the linker must know of the SoC, in ``folder``/generated."""
        generated = folder / "generated"
        generated.mkdir(parents=True)
        files = {
            "csr.h": export.get_csr_header(self.csr_regions, self.constants,
                                           self.mem_regions["csr"].origin),
            "mem.h": export.get_mem_header(self.mem_regions),
            "soc.h": export.get_soc_header(self.constants),
            "output_format.ld": export.get_linker_output_format(self.cpu),
            "regions.ld": export.get_linker_regions(self.mem_regions)}
        if hasattr(self, "sdram"):
            settings = self.sdram.controller.settings
            files["sdram_phy.h"] = get_sdram_phy_c_header(settings.phy, settings.timing,
                                                          settings.geom)
        for name, text in files.items():
            (generated / name).write_text(text)
