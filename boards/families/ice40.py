"""Builds for Lattice iCE40 UltraPlus: SB_PLL40_PAD, yosys, nextpnr-ice40, icepack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import *

from kaniwa.boards.families import ice40_slots
from kaniwa.boards.families.family import Step
from kaniwa.boards.families.usual import as_it_is, no_floorplan
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.memory.spram import SpramMemory
from kaniwa.hw.multiplier.ice40 import DualMultiplierIce40
from kaniwa.hw.multiplier.plain import Multiplier

# For few LUTs, where the script that yosys has is for a fast clock: wide LUTs show logic that is
# worth another form, and what two more rounds find is kept where it is smaller.
MAPPING = ("&scorr", "&sweep", "&if -g -K 6", "&synch2", "&if -a", "&mfs",
           "&dch -x", "&if -a", "&mfs", "&dch -f", "&if -a", "&mfs")

constraints = "pcf"
memory = SpramMemory
arrange = as_it_is
floorplan = no_floorplan
slots = ice40_slots
# A carry shares the logic cell of the LUT behind it.
cells = {
    "SB_LUT4": {"lut": 1}, "SB_RAM40_4K": {"bram": 1}, "SB_SPRAM256KA": {"spram": 1},
    "SB_MAC16": {"dsp": 1},
    **{f"SB_DFF{kind}": {"ff": 1}
       for kind in ("", "E", "R", "S", "SR", "SS", "ER", "ES", "ESR", "ESS")},
}
bels = {"lut": "ICESTORM_LC", "bram": "ICESTORM_RAM", "spram": "ICESTORM_SPRAM",
        "dsp": "ICESTORM_DSP"}
reduce = {
    "lut": "out_lanes, dot_width, requant_lanes, or leave out elementwise, max_pool or counters",
    "ff": "out_lanes, dot_width, requant_lanes, or leave out elementwise, max_pool or counters",
    "bram": "ring_bytes, line_bytes or parameter_records",
    "spram": "memory_bytes",
    "dsp": "out_lanes or dot_width",
}


class Ice40Pll:
    """SB_PLL40_PAD, simple feedback: input * (divf + 1) / (2 ** divq * (divr + 1))."""

    def __init__(self, input_hz: float, output_mhz: float):
        input_mhz = input_hz / 1e6
        for divr in range(16):
            reference = input_mhz / (divr + 1)
            for divq in range(1, 7):
                divf = round(output_mhz * 2 ** divq / reference) - 1
                oscillator = reference * (divf + 1)
                if (10 <= reference <= 133 and 533 <= oscillator <= 1066 and 0 <= divf < 128
                        and abs(oscillator / 2 ** divq - output_mhz) < 1e-6):
                    self._settings = dict(
                        p_DIVR=Const(divr, 4), p_DIVF=Const(divf, 7), p_DIVQ=Const(divq, 3),
                        p_FILTER_RANGE=Const(1 if reference < 17 else 2, 3))
                    self.hz = round(output_mhz * 1e6)
                    return
        raise ConfigError(f"the PLL cannot make {output_mhz:g} MHz of {input_mhz:g} MHz: "
                          "choose another clock")

    def add(self, m: Module, platform: Any, clock: Signal) -> Value:
        locked = Signal()
        m.submodules.pll = Instance(
            "SB_PLL40_PAD", **self._settings, p_FEEDBACK_PATH="SIMPLE",
            p_PLLOUT_SELECT="GENCLK", i_RESETB=1, i_BYPASS=0, o_LOCK=locked, o_PLLOUTGLOBAL=clock,
            i_PACKAGEPIN=platform.request(platform.default_clk, dir="-").io)
        return locked


def pll(input_hz: float, output_mhz: float, device: Sequence[str]) -> Ice40Pll:
    """The clock generator for ``output_mhz`` MHz."""
    return Ice40Pll(input_hz, output_mhz)


def multiplier(config: AcceleratorConfig) -> type[Multiplier]:
    """Two products in a block, whatever the config."""
    return DualMultiplierIce40


def synthesis(top: str, config: AcceleratorConfig, device: Sequence[str]) -> Sequence[str]:
    """The commands of yosys between reading and writing."""
    # Without -dsp, whose pass takes the clock off blocks that are there already.
    return [f"scratchpad -set abc9.script +{';'.join(MAPPING).replace(' ', ',')}",
            f"synth_ice40 -device u -top {top}"]


def place(device: Sequence[str], mhz: float, seed: int) -> Step:
    """Place and route ``top.json``."""
    return Step("nextpnr-ice40", (
        *device, "--json", "top.json", "--pcf", "top.pcf", "--asc", "top.asc",
        "--freq", f"{mhz:g}", "--seed", str(seed), "--report", "report.json",
        # In a device that is nearly full, its wires are a quarter shorter than the default's.
        "--placer", "static", "--timing-allow-fail"), "top.asc")


def pack(device: Sequence[str]) -> Step:
    """Make the bitstream."""
    return Step("icepack", ("top.asc", "top.bin"), "top.bin")
