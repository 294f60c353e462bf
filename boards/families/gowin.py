"""Builds for Gowin GW1N and GW2A: rPLL, yosys, nextpnr-himbaechel, gowin_pack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth import *

from kaniwa.boards.families.family import Step
from kaniwa.boards.families.usual import REDUCE, as_it_is, no_floorplan, plain_multiplier
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.memory.system import OnChipMemory

constraints = "cst"
memory = OnChipMemory
multiplier = plain_multiplier
arrange = as_it_is
floorplan = no_floorplan
# A 16x4 RAM takes the four LUTs of a half slice.
cells = {
    **{f"LUT{inputs}": {"lut": 1} for inputs in range(1, 5)},
    "ALU": {"lut": 1}, "RAM16SDP4": {"lut": 4}, "RAM16SDP2": {"lut": 4}, "RAM16SDP1": {"lut": 4},
    **{f"DFF{kind}": {"ff": 1}
       for kind in ("", "E", "R", "S", "RE", "SE", "C", "P", "CE", "PE")},
    **{name: {"bram": 1} for name in ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B")},
    "MULT18X18": {"dsp": 1}, "MULT9X9": {"dsp": 1},
}
bels = {"bram": "BSRAM", "dsp": "MULT18X18"}
reduce = REDUCE
LATE = 14   # sixteenths of a cycle that the clock of an SDRAM is behind


@dataclass(frozen=True)
class Chip:
    """How the tools name a chip, and where its PLL's oscillator runs, in MHz."""

    family: str
    slowest: float
    fastest: float


# By the name that place-and-route and packer have for them. The oscillator's range is that of the
# speed grades C6/I5 and C8/I7 in Apicula's gowin_pll.
CHIPS = {"GW1N-9C": Chip("gw1n", 400, 1200), "GW2A-18C": Chip("gw2a", 500, 1250)}


def _chip(device: Sequence[str]) -> str:
    """The name of the chip in the arguments of place-and-route."""
    return next(part for part in device if part.startswith("family=")).removeprefix("family=")


class GowinPll:
    """rPLL: input * (fbdiv + 1) / (idiv + 1), oscillator in the range of the chip."""

    def __init__(self, input_hz: float, output_mhz: float, chip: str):
        input_mhz = input_hz / 1e6
        for idiv in range(64):
            fbdiv = round(output_mhz * (idiv + 1) / input_mhz) - 1
            if (fbdiv in range(64) and input_mhz / (idiv + 1) >= 3
                    and abs(input_mhz * (fbdiv + 1) / (idiv + 1) - output_mhz) < 1e-6):
                break
        else:
            raise ConfigError(f"the PLL cannot make {output_mhz:g} MHz of {input_mhz:g} MHz: "
                              "choose another clock")
        dividers = [n for n in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
                    if CHIPS[chip].slowest <= n * output_mhz <= CHIPS[chip].fastest]
        if not dividers:
            raise ConfigError(f"the PLL cannot make {output_mhz:g} MHz: choose another clock")
        self._settings = dict(p_FCLKIN=f"{input_mhz:g}", p_IDIV_SEL=idiv, p_FBDIV_SEL=fbdiv,
                              p_ODIV_SEL=dividers[0], p_DEVICE=chip)
        self.hz = round(output_mhz * 1e6)

    def add(self, m: Module, platform: Any, clock: Signal,
            late: Signal | None = None) -> Value:
        locked = Signal()
        second = {} if late is None else dict(o_CLKOUTP=late)
        phase = 0 if late is None else LATE
        m.submodules.pll = Instance(
            "rPLL", **self._settings,
            p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false",
            p_DYN_DA_EN="false", p_PSDA_SEL=f"{phase:04b}", p_DUTYDA_SEL="1000",
            p_CLKFB_SEL="internal", p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false",
            i_CLKIN=platform.request(platform.default_clk).i, i_CLKFB=0, i_RESET=0, i_RESET_P=0,
            i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6), i_PSDA=Const(0, 4),
            i_DUTYDA=Const(0, 4), i_FDLY=Const(0, 4), o_CLKOUT=clock, o_LOCK=locked, **second)
        return locked


def pll(input_hz: float, output_mhz: float, device: Sequence[str]) -> GowinPll:
    """The clock generator for ``output_mhz`` MHz."""
    return GowinPll(input_hz, output_mhz, _chip(device))


def synthesis(top: str, config: AcceleratorConfig, device: Sequence[str]) -> Sequence[str]:
    """The commands of yosys between reading and writing."""
    return [f"synth_gowin -family {CHIPS[_chip(device)].family} -top {top}"]


def place(device: Sequence[str], mhz: float, seed: int) -> Step:
    """Place and route ``top.json``."""
    return Step("nextpnr-himbaechel", (
        *device, "--json", "top.json", "--vopt", "cst=top.cst", "--write", "top.pnr.json",
        "--freq", f"{mhz:g}", "--seed", str(seed), "--report", "report.json",
        "--timing-allow-fail"), "top.pnr.json")


def pack(device: Sequence[str]) -> Step:
    """Make the bitstream."""
    return Step("gowin_pack", ("-d", _chip(device), "-o", "top.fs", "top.pnr.json"), "top.fs")
