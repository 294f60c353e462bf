"""Builds for Lattice Nexus: the oscillator as the clock, yosys, nextpnr-nexus, prjoxide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import *

from kaniwa.boards.families.family import Step
from kaniwa.boards.families.usual import REDUCE, no_floorplan, plain_multiplier
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.memory.system import OnChipMemory

constraints = "pdc"
memory = OnChipMemory
multiplier = plain_multiplier
floorplan = no_floorplan
# A carry cell is two LUTs; a 16x4 RAM four, and two more for its write port. Multipliers count in
# those of 9 x 9 bits.
cells = {
    "LUT4": {"lut": 1}, "CCU2": {"lut": 2}, "DPR16X4": {"lut": 6},
    **{f"FD1P3{kind}X": {"ff": 1} for kind in "BDIJ"},
    **{name: {"bram": 1} for name in ("DP16K", "PDP16K", "PDPSC16K", "SP16K")},
    "MULT9X9": {"dsp": 1}, "MULT18X18": {"dsp": 2},
}
bels = {"lut": "OXIDE_COMB", "ff": "OXIDE_FF", "bram": "OXIDE_EBR"}
reduce = REDUCE

# Blocks that a signed product may have: what yosys calls one, its width and the least of a factor.
# Without yosys' own pass for them, which ends with "vector::_M_range_check" on this design.
MULTIPLIERS = (("$__NX_MUL18X18", 18, 10), ("$__NX_MUL9X9", 9, 4))


class NexusClock:
    """The board's oscillator, as it is: the PLL takes it from 18 MHz on only.

    18 MHz is the least reference that LiteX allows, ``NXPLL`` of its ``lattice_nx.py``.
    """

    def __init__(self, input_hz: float, output_mhz: float):
        if abs(input_hz / 1e6 - output_mhz) > 1e-6:
            raise ConfigError(f"the PLL cannot make {output_mhz:g} MHz of "
                              f"{input_hz / 1e6:g} MHz: choose another clock")
        self.hz = round(input_hz)

    def add(self, m: Module, platform: Any, clock: Signal) -> Value:
        m.d.comb += clock.eq(platform.request(platform.default_clk).i)
        return Const(1)


def pll(input_hz: float, output_mhz: float, device: Sequence[str]) -> NexusClock:
    """The clock of ``output_mhz`` MHz."""
    return NexusClock(input_hz, output_mhz)


def synthesis(top: str, config: AcceleratorConfig, device: Sequence[str]) -> Sequence[str]:
    """The commands of yosys between reading and writing."""
    commands = []
    for name, width, least in MULTIPLIERS:
        commands += [
            f"techmap -map +/mul2dsp.v -D DSP_A_MAXWIDTH={width} -D DSP_B_MAXWIDTH={width} "
            f"-D DSP_A_MINWIDTH={least} -D DSP_B_MINWIDTH={least} -D DSP_NAME={name} "
            "t:$mul r:A_SIGNED=1 %i",
            "chtype -set $mul t:$__soft_mul"]
    return [*commands, "techmap -map +/lattice/dsp_map_nexus.v", f"synth_nexus -nodsp -top {top}"]


def arrange(module: dict[str, Any], device: Sequence[str], config: AcceleratorConfig) -> None:
    """Open the carry inputs of cells that begin a chain.

    Synthesis makes their undefined value a 0, which place-and-route refuses
    (github.com/YosysHQ/yosys/issues/4081). Such a cell makes its carry whatever it is given.
    """
    zeros = {bit for cell in module["cells"].values() if cell["type"] == "VLO"
             for bit in cell["connections"]["Z"]}
    for cell in module["cells"].values():
        if cell["type"] == "CCU2" and zeros.issuperset(cell["connections"]["CIN"]):
            cell["connections"]["CIN"] = []


def place(device: Sequence[str], mhz: float, seed: int) -> Step:
    """Place and route ``top.json``."""
    return Step("nextpnr-nexus", (
        *device, "--json", "top.json", "--pdc", "top.pdc", "--fasm", "top.fasm",
        "--freq", f"{mhz:g}", "--seed", str(seed), "--report", "report.json",
        # router2, the default, does not find the way of the clock from its pin to its buffer.
        "--router", "router1", "--timing-allow-fail"), "top.fasm")


def pack(device: Sequence[str]) -> Step:
    """Make the bitstream."""
    return Step("prjoxide", ("pack", "top.fasm", "top.bit"), "top.bit")
