"""The design of a board as it is built, made into a simulation that is driven at its pins.

A board with SDRAM has a chip there, which is part of the simulation.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import kaniwa.boards
from kaniwa.boards.board import LINK_CYCLES, Board, check_standalone, file_stem, load_board
from kaniwa.config import AcceleratorConfig
from kaniwa.driver.frames import check_cores
from kaniwa.driver.spi.format import CYCLES_OF_BYTE
from kaniwa.driver.transports import BITS_A_BYTE
from kaniwa.errors import ConfigError
from kaniwa.sdram_parts import PARTS, ChipTiming
from kaniwa.sim.device.verilate import (
    SHIM,
    Progress,
    build_library,
    gateware_sources,
    kept_verilog,
    source_texts,
)
from kaniwa.sim.primitives.models import FOLDER, primitive_models

__all__ = ["BIT_CYCLES", "SOURCES", "BoardDesign", "board_design"]

SOURCES = [SHIM[0].with_name(name) for name in ("pin_shim.cpp", "sdram_chip.h")]
# By what a host reaches a board by.
LINE_SOURCES = {"uart": SOURCES,
                "ethernet": [SHIM[0].with_name("rgmii_shim.cpp")],
                "spi": [Path(__file__).with_name("spi_shim.cpp")],
                "usb": [Path(__file__).parent.with_name("usb") / "usb_shim.cpp"]}
DDR3_SOURCES = [FOLDER / "ddr3" / name for name in ("ddr3_chips.cpp", "ddr3_chips.h")]
BIT_CYCLES = 8   # of a virtual board's UART, unless a baud is asked for
# Bytes a second that a virtual board tells, times its multipliers: about what is simulated of it
# by a slow machine. A link that takes fewer cycles a byte tells more.
# It sets how long the host waits: in the board's time or, at a pseudo-terminal, in its own.
PACE = 80_000

# Pins of an SDRAM as amaranth-boards names them. Those of a board without are not used. The level
# is that of the pins that some boards tie to it.
SDRAM_PINS = ("clk", "clk_en", "cs", "ras", "cas", "we", "ba", "a", "dq", "dqm")
SDRAM_TIED = {"clk_en": "1", "cs": "0", "dqm": "0"}
SIMULATED = """
module core(
  input clk, input rx, output tx,
  output [2:0] sdram_command, output [1:0] sdram_bank, output [12:0] sdram_address,
  output [3:0] sdram_mask, output [31:0] sdram_data, input [31:0] sdram_given, input sdram_drive,
  output flash_cs, output flash_sck, output flash_copi, input flash_cipo, output [31:0] leds,
  output leave, output [1:0] slot
);
  wire rx_pin = rx;
  wire chip_clk, chip_clk_en, chip_cs, chip_ras, chip_cas, chip_we;
  wire [1:0] chip_ba;
  wire [{row}-1:0] chip_a;
  wire [{width}-1:0] chip_dqm;
  wire [8*{width}-1:0] chip_dq;
{tied}
  assign chip_dq = sdram_drive ? sdram_given[8*{width}-1:0] : {{8*{width}{{1'bz}}}};
  reg chip_runs = 1'b0;
  always @(posedge chip_clk) chip_runs <= 1'b1;
  assign sdram_command =
    chip_runs & chip_clk_en & !chip_cs ? ~{{chip_we, chip_cas, chip_ras}} : 3'b000;
  assign sdram_bank = chip_ba;
  assign sdram_address = chip_a;
  assign sdram_mask = chip_dqm;
  assign sdram_data = chip_dq;
  wire flash_in = flash_cipo;
{flash}
{restart}
  {top} board({pins});
endmodule
"""

# Pins of a PHY as amaranth-boards names them, without those of its reset and registers: it is there
# as soon as the board is.
RGMII_PINS = ("rx_clk", "rx_ctrl", "rx_data", "tx_clk", "tx_ctrl", "tx_data")
SIMULATED_RGMII = """
module core(
  input clk, input rx_clk, input rx_ctrl, input [3:0] rx_data,
  output tx_clk, output tx_ctrl, output [3:0] tx_data
);
  {top} board({pins});
endmodule
"""

SPI_PINS = ("cs_n", "sck", "copi", "cipo")
SIMULATED_SPI = """
module core(input clk, input cs_n, input sck, input copi, output cipo);
  {top} board({pins});
endmodule
"""

# The host has the line, but while the board drives it.
USB_PINS = {"d_p": "d_p", "d_n": "d_n", "pullup": "pull_up"}    # a pullup is a gate of Verilog
SIMULATED_USB = """
module core(
  input clk, input host_p, input host_n, output drive, output d_p, output d_n, output pull_up
);
  assign drive = board.usb.drive;
  assign d_p = drive ? 1'bz : host_p;
  assign d_n = drive ? 1'bz : host_n;
  {top} board({pins});
endmodule
"""


@dataclass(frozen=True)
class BoardDesign:
    """A board's top for ``config``. ``pace``: bytes a second that it tells the host.

    ``bit_cycles``: cycles of a bit at its UART; a board on Ethernet, SPI or USB has none.
    ``cores``: how many of ``config`` there are. ``standalone``: it starts from flash.
    """

    board: Board
    config: AcceleratorConfig
    baud: int
    pace: int
    bit_cycles: float
    cores: int = 1
    standalone: bool = False

    def rtlil(self) -> str:
        """The gateware; that of a bitstream if baud and pace are, and there is no DDR3."""
        return self._files()[0]

    def _files(self) -> tuple[str, str]:
        """RTLIL of the gateware, and Verilog of what is in it and not ours."""
        from kaniwa.boards.flow.build import TOP, design_files

        files = design_files(self.board.with_simulated_memory(), self.config, self.mhz,
                             baud=self.baud, pace=self.pace, cores=self.cores,
                             standalone=self.standalone)
        return files[f"{TOP}.il"], "".join(
            text for name, text in files.items() if name.endswith(".v"))

    def library(self, progress: Progress | None = None) -> Path:
        """The shared object with its simulation, built if there is none yet."""
        stem = file_stem(self.board, self.config.name, self.cores, self.standalone)
        text = kept_verilog(stem, self._made_from(), self._verilog, progress)
        sources = LINE_SOURCES[self.board.reached_by]
        return build_library(text, self.config, progress=progress,
                             sources=sources + DDR3_SOURCES * (self.board.ddr3 is not None))

    @property
    def byte_cycles(self) -> float:
        """Cycles that the link takes for a byte in each direction."""
        if self.board.by_spi:
            return CYCLES_OF_BYTE
        return BITS_A_BYTE * self.bit_cycles if self.board.ethernet is None else LINK_CYCLES

    @property
    def mhz(self) -> float:
        """Clock of the target."""
        return self.board.clock_mhz(self.config.name, self.cores)

    def _made_from(self) -> list[str]:
        return [self.config.hash, str(self.baud), str(self.pace), str(self.cores),
                str(self.standalone), self.board.name, self.board.line, str(self.board.slot),
                str(self.board.overlap),
                importlib.metadata.version("amaranth-boards"),
                *gateware_sources(), *source_texts([Path(__file__)]),
                *source_texts(Path(kaniwa.boards.__path__[0]).rglob("*.py")),
                *source_texts([*FOLDER.glob("*.py"), *FOLDER.rglob("*.v")])]

    def _verilog(self) -> str:
        """Models of the primitives, the board's design, and around it a module of the pins."""
        from kaniwa.hw.verilog import from_rtlil

        rtlil, other = self._files()
        text = from_rtlil(rtlil) + other
        return f"{primitive_models(text)}{text}\n{self._pins(text)}"

    def chip_figures(self) -> list[int] | None:
        """Figures of the SDRAM for its model, in the order that sdram_chip.h has; None without."""
        if self.board.sdram is None:
            return None
        from kaniwa.hw.sdram.controller import POWER_UP_US

        mhz = self.mhz
        part = PARTS[self.board.sdram.part]
        times = ChipTiming.of(part, mhz, 1)
        return [part.width, part.columns, part.rows, times.rcd, times.rp, times.ras, times.rc,
                times.rfc, times.rrd, times.wr, times.refi, int(POWER_UP_US * mhz)]

    def _pins(self, text: str) -> str:
        """The module of clock, link and SDRAM around the top module of ``text``."""
        from kaniwa.boards.flow.build import TOP

        head = re.search(rf"^module {TOP}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
        assert head is not None
        names = re.split(r",\s*", head[1])
        if self.board.by_spi:
            from kaniwa.boards.flow.top import SPI_RESOURCE

            return _wired(SIMULATED_SPI, SPI_RESOURCE, _same(SPI_PINS), names)
        if self.board.by_usb:
            assert self.board.usb is not None
            return _wired(SIMULATED_USB, self.board.usb.resource, USB_PINS, names)
        if self.board.ethernet is not None:
            return _wired(SIMULATED_RGMII, self.board.ethernet.resource,
                          _same(RGMII_PINS), names)
        link = f"{self.board.link}_0"
        wires = {f"{link}__rx__io": "rx_pin", f"{link}__tx__io": "tx"}
        tied, width, row = "", 1, 1
        if self.board.sdram is not None:
            part = PARTS[self.board.sdram.part]
            width, row = part.width, (part.rows - 1).bit_length()
            chip = f"{self.board.sdram.resource}_0"
            wires |= {f"{chip}__{pin}__io": f"chip_{pin}" for pin in SDRAM_PINS}
            tied = "\n".join(f"  assign chip_{pin} = {level};" for pin, level in SDRAM_TIED.items()
                             if f"{chip}__{pin}__io" not in names)
        wires, flash = wires | self._flash_wires(), self._flash_levels(names)
        pins = [f".{pin}({wires.get(pin, 'clk' if pin.startswith('clk') else 1)})"
                for pin in names]
        return SIMULATED.format(top=TOP, pins=", ".join(pins), width=width, row=row, flash=flash,
                                tied=tied, restart=self._restart_levels())

    def _flash_wires(self) -> dict[str, str]:
        """The wires at the pins of the flash and the LEDs of a design that starts from it."""
        if not self.standalone or self.board.flash is None:
            return {}
        flash = f"{self.board.flash.resource}_0"
        wires = {f"{flash}__{pin}__io": f"flash_{pin}_pin" for pin in ("cs", "clk", "copi")}
        leds = {f"{name}_{number}__io": f"led_pins[{i}]"
                for i, (name, number) in enumerate(self.board.class_pins)}
        if self.board.flash.program is not None:
            name, number = self.board.flash.program
            wires[f"{name}_{number}__io"] = "program_pin"
        return wires | leds | {f"{flash}__cipo__io": "flash_in"} | {
            f"{flash}__{pin}__io": "" for pin in ("wp", "hold")}

    def _flash_levels(self, names: Sequence[str]) -> str:
        """Verilog of what flash and LEDs see, behind pins that are the other way round."""
        if not self.standalone or self.board.flash is None:
            return ("  assign {flash_cs, flash_sck, flash_copi} = 3'b000;\n"
                    "  assign leds = 32'd0;")
        platform = self.board.make_platform()
        inverted = sum(platform.lookup(*pin).ios[0].invert << i
                       for i, pin in enumerate(self.board.class_pins))
        clock = f"{self.board.flash.resource}_0__clk__io"
        sck = "flash_clk_pin" if clock in names else "board.flash_pins.clock.pin"
        return ("  wire flash_cs_pin, flash_clk_pin, flash_copi_pin;\n"
                f"  wire [{len(self.board.class_pins) - 1}:0] led_pins;\n"
                "  assign flash_cs = !flash_cs_pin;\n"
                f"  assign flash_sck = {sck};\n"
                "  assign flash_copi = flash_copi_pin;\n"
                f"  assign leds = led_pins ^ {inverted};")

    def _restart_levels(self) -> str:
        """Verilog of how the FPGA is configured anew: by a pin that is low, or by a primitive."""
        if self.board.slot is None:
            return "  assign leave = 1'b0;\n  assign slot = 2'd0;"
        assert self.board.flash is not None
        if self.board.flash.program is None:
            return "  assign leave = board.restart.leave;\n  assign slot = board.restart.slot;"
        return "  wire program_pin;\n  assign leave = !program_pin;\n  assign slot = 2'd0;"


def _same(names: Sequence[str]) -> dict[str, str]:
    return {name: name for name in names}


def _wired(module: str, resource: str, wires: Mapping[str, str], names: Sequence[str]) -> str:
    """``module`` around the top module with the pins ``names``: ``wires`` are at those of a
    resource, by name, and others are open but for the clock."""
    from kaniwa.boards.flow.build import TOP

    at = {f"{resource}_0__{pin}__io": wire for pin, wire in wires.items()}
    pins = [f".{pin}({'clk' if pin.startswith('clk') else at.get(pin, '')})" for pin in names]
    return module.format(top=TOP, pins=", ".join(pins))


def board_design(board: str | Board, config: AcceleratorConfig | None = None,
                 baud: int | None = None, cores: int = 1, standalone: bool = False,
                 link: str = "own") -> BoardDesign:
    """The design of a board, or of the board of that name, for ``config``, by default the board's
    first target.

    ``cores``: how many of them there are, each with its own memory. ``standalone``: it starts from
    flash. ``link``: as for ``Board.with_link``; a board on SPI or USB has no baud, and no SDRAM
    here.

    With ``baud`` it is what a bitstream of that baud holds; without, its UART has a bit in
    BIT_CYCLES cycles and it tells a pace by PACE, for a simulation that ends soon. A board with
    Ethernet has only the baud of its file, with which it tells the pace of its bitstream, and one
    behind USB has nothing else. Raises
    ConfigError for an unknown board, and for cores or a baud that it cannot have.
    """
    from kaniwa.boards.families.family import load_family

    board = (load_board(board) if isinstance(board, str) else board).with_link(link)
    config = config or board.config(board.target_for(cores))
    check_cores(cores, config.memory_bytes, board.has_outside)
    if standalone:
        check_standalone(board, cores)
    hz = board.make_platform().default_clk_frequency
    clock_hz = load_family(board.family).pll(hz, board.clock_mhz(config.name, cores),
                                               board.device).hz
    pace = PACE // (config.out_lanes * config.dot_width * cores)
    if (board.by_spi or board.by_usb) and (
            baud not in (None, board.baud) or board.sdram is not None or standalone):
        raise ConfigError(f"{board.name} over {board.reached_by.upper()} is simulated without a "
                          "baud, SDRAM or a start from flash")
    if board.by_usb:
        return BoardDesign(board, config, board.baud, board.pace, BIT_CYCLES, cores)
    if board.by_spi:
        faster = BITS_A_BYTE * BIT_CYCLES / CYCLES_OF_BYTE
        return BoardDesign(board, config, board.baud, int(pace * faster), BIT_CYCLES, cores)
    if board.ethernet is not None:
        if baud not in (None, board.baud):
            raise ConfigError(f"{board.name} is reached by Ethernet: it has no baud to choose")
        faster = BITS_A_BYTE * BIT_CYCLES // LINK_CYCLES
        return BoardDesign(board, config, board.baud, pace * faster if baud is None else board.pace,
                           BIT_CYCLES, cores)
    if baud is None:
        return BoardDesign(board, config, clock_hz // BIT_CYCLES, pace, BIT_CYCLES, cores,
                           standalone)
    return BoardDesign(board, config, baud, baud // BITS_A_BYTE, clock_hz / baud, cores,
                       standalone)
