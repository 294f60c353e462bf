"""The peripheral in a LiteX SoC: region, interrupt, buses, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.gen import LiteXModule
from litex.soc.integration.soc_core import SoCCore
from migen import ClockDomain

from kaniwa.config import PRESETS
from kaniwa.errors import BuildError, ConfigError
from kaniwa.generate.design import Design
from kaniwa.generate.verilog import Port
from kaniwa.integrations.litex import KaniwaPeripheral, add_kaniwa, peripheral, sources
from kaniwa.isa.bus import window_bytes

PINS = [("clk", 0, Pins(1)), ("serial", 0, Subsignal("tx", Pins(1)), Subsignal("rx", Pins(1)))]
WISHBONE = [("adr", 15, False), ("dat_w", 32, False), ("dat_r", 32, True), ("sel", 4, False),
            ("cyc", 1, False), ("stb", 1, False), ("we", 1, False), ("ack", 1, True),
            ("err", 1, True)]


class Clock(LiteXModule):
    def __init__(self, platform: Any) -> None:
        self.cd_sys = ClockDomain()
        self.comb += self.cd_sys.clk.eq(platform.request("clk"))


def make_soc(**options: Any) -> SoCCore:
    platform = GenericPlatform("test", PINS, name="soc")
    soc = SoCCore(platform, 25_000_000, cpu_type="vexriscv", cpu_variant="lite",
                  integrated_rom_size=4096, with_timer=False, **options)
    soc.crg = Clock(platform)
    return soc


@pytest.fixture
def gateware(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Design]:
    """The designs whose gateware was made: a module with a Wishbone slave, made in no time."""
    made: list[Design] = []

    def design_verilog(design: Design) -> tuple[str, list[Port], int]:
        made.append(design)
        ports = [Port(f"s_wb_{name}", width, output) for name, width, output in WISHBONE]
        return f"module {design.name} ();\nendmodule\n", [*ports, Port("irq", 1, True)], 2

    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "design_verilog", design_verilog)
    return made


def test_one_line_gives_region_interrupt_and_source(gateware: list[Design]) -> None:
    soc = make_soc()
    made = add_kaniwa(soc, "nano")
    soc.finalize()
    assert isinstance(made, KaniwaPeripheral) and soc.kaniwa is made
    region = soc.bus.regions["kaniwa"]
    assert region.size == made.window_bytes == window_bytes(PRESETS["nano"].memory_bytes)
    assert region.origin % region.size == 0 and not region.cached
    assert region.origin >= 0x8000_0000     # where VexRiscv has no cache
    assert soc.constants["KANIWA_INTERRUPT"] == soc.irq.locs["kaniwa"]
    assert (str(made.sources.verilog), "verilog", "work") in soc.platform.sources
    assert gateware == [Design(PRESETS["nano"], "wishbone", "kaniwa", clock_hz=25_000_000)]


def test_verilog_of_the_soc_connects_each_port_once(gateware: list[Design]) -> None:
    soc = make_soc()
    add_kaniwa(soc, "nano", origin=0x9000_0000)
    soc.finalize()
    text = str(soc.platform.get_verilog(soc, name="soc"))
    instance = text[text.index("\nkaniwa kaniwa("):]
    instance = instance[:instance.index(");")]
    for name in ("clk", "rst", "irq", *(f"s_wb_{name}" for name, _, _ in WISHBONE)):
        assert instance.count(f".{name} ") == 1, name
    assert soc.bus.regions["kaniwa"].origin == 0x9000_0000


def test_two_accelerators_have_names_of_their_own(gateware: list[Design]) -> None:
    soc = make_soc()
    add_kaniwa(soc, "nano", "ear")
    add_kaniwa(soc, "nano", "eye")
    soc.finalize()
    assert [design.name for design in gateware] == ["ear", "eye"]
    assert soc.irq.locs["ear"] != soc.irq.locs["eye"]
    assert soc.bus.regions["ear"].origin != soc.bus.regions["eye"].origin
    with pytest.raises(ConfigError, match="has a module 'ear' already"):
        add_kaniwa(soc, "nano", "ear")


def test_gateware_is_made_once(gateware: list[Design]) -> None:
    first = add_kaniwa(make_soc(), "nano").sources
    assert add_kaniwa(make_soc(), "nano").sources == first
    assert len(gateware) == 1
    assert first.verilog.read_text().startswith("module kaniwa ")
    assert first.waivers.read_text().startswith("`verilator_config")
    add_kaniwa(make_soc(), "small")
    assert len(gateware) == 2


def test_a_soc_without_a_cpu_has_no_interrupt(gateware: list[Design]) -> None:
    platform = GenericPlatform("test", PINS, name="soc")
    soc = SoCCore(platform, 25_000_000, cpu_type=None, with_timer=False, with_uart=False)
    soc.crg = Clock(platform)
    add_kaniwa(soc, "nano")
    soc.finalize()
    assert "kaniwa" not in soc.irq.locs and "KANIWA_INTERRUPT" not in soc.constants


@pytest.mark.parametrize(("target", "options", "message"), [
    ("nano", {"outside": "ddr"}, "outside must be bus or sdram, or None, not 'ddr'"),
    ("nano", {"outside": "bus"}, "no way to outside memory"),
    ("small", {"outside": "sdram"}, "takes a SoC with an SDRAM: call add_sdram first"),
    ("nano", {"bus": "stream"}, "bus must be axi4 or wishbone in a LiteX SoC, not 'stream'"),
    ("nano", {"name": "module"}, "name 'module' is no module name"),
    ("nowhere", {}, "nowhere"),
])
def test_what_is_refused_says_so_and_makes_nothing(
        target: str, options: dict[str, str], message: str, gateware: list[Design]) -> None:
    with pytest.raises(ConfigError, match=message):
        add_kaniwa(make_soc(), target, **options)
    assert not gateware


def test_a_bus_of_another_width_is_refused(gateware: list[Design]) -> None:
    with pytest.raises(ConfigError, match="must have 32, 64 bits for target 'small', not 128"):
        add_kaniwa(make_soc(bus_data_width=128), "small", outside="bus")


def test_a_cache_that_cannot_be_written_is_told(
        gateware: list[Design], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / "file"))
    with pytest.raises(BuildError, match="cannot keep the Verilog in .*set KANIWA_CACHE"):
        add_kaniwa(make_soc(), "nano")


def test_without_litex_one_line_names_the_extra(root: Path) -> None:
    code = ("import sys\nsys.modules['litex'] = None\nfrom kaniwa.errors import Error\n"
            "try:\n    import kaniwa.integrations.litex\n"
            "except Error as error:\n    print(error)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("a LiteX peripheral needs litex: pip install ")
    assert "[litex]" in done.stdout and done.stdout.count("\n") == 1


def test_members_of_axi_are_told_from_channels() -> None:
    assert peripheral.CHANNEL.fullmatch("arready").groups() == ("ar", "ready")
    assert peripheral.CHANNEL.fullmatch("awaddr").groups() == ("aw", "addr")
    assert peripheral.CHANNEL.fullmatch("rdata").groups() == ("r", "data")
    assert peripheral.CHANNEL.fullmatch("wstrb").groups() == ("w", "strb")
