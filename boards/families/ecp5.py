"""Builds for Lattice ECP5: EHXPLLL, yosys, nextpnr-ecp5, ecppack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import *

from kaniwa.boards.families import ecp5_flash, ecp5_slots
from kaniwa.boards.families.ecp5_ddr3 import Ecp5Ddr3Clocks
from kaniwa.boards.families.ecp5_pll import (
    FIXED_INPUTS,
    FIXED_PARAMETERS,
    Ecp5UsbPll,
    own_dividers,
)
from kaniwa.boards.families.ecp5_rgmii import Ecp5Rgmii
from kaniwa.boards.families.family import Step
from kaniwa.boards.families.usual import REDUCE
from kaniwa.boards.flow.fanout import Logic, split_fanout
from kaniwa.boards.flow.output_registers import Block, Side, fold_output_registers
from kaniwa.config import AcceleratorConfig
from kaniwa.hw.memory.system import OnChipMemory
from kaniwa.hw.multiplier.ecp5 import ecp5_multiplier

constraints = "lpf"
rgmii = Ecp5Rgmii
ddr3_clocks = Ecp5Ddr3Clocks
usb_pll = Ecp5UsbPll
flash_clock = ecp5_flash.flash_clock
slots = ecp5_slots
memory = OnChipMemory
multiplier = ecp5_multiplier
# A carry cell is two LUTs; a 16x4 RAM four, and two more for its write port.
cells = {
    "LUT4": {"lut": 1}, "CCU2C": {"lut": 2}, "TRELLIS_DPR16X4": {"lut": 6}, "TRELLIS_FF": {"ff": 1},
    "DP16KD": {"bram": 1}, "PDPW16KD": {"bram": 1}, "MULT18X18D": {"dsp": 1},
}
bels = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "bram": "DP16KD", "dsp": "MULT18X18D"}
reduce = REDUCE

# A parameter buffer of up to so many words lies in LUTs: it is wide, and would use an eighth of the
# 16 blocks that it takes in ``base``. Not beside packed multipliers, where wires are scarcer than
# blocks: in LUTs it is 13 % of the connections of ``large``.
DISTRIBUTED_WORDS = 64

# How much more than wire length the placer minds what is slow. ``base`` by its estimate after
# placement: 66.7 MHz with 10 (its default), 75.9 with 40, 79.6 with 150. With 600 hardly any path
# is slow, but now and then a block of RAM ends far from all others: a later netlist came to 69.1
# MHz with it, to 87.5 with 150.
TIMING_WEIGHT = 150

LARGE = ("--85k", "--um5g-85k")    # how nextpnr names the 85F, and the 5G-85F of the same grid

# Sites of the 85F: in each nine columns four multipliers, in three rows, and four block RAMs, in
# four.
NINE_COLUMNS = (*range(4, 59, 9), *range(69, 115, 9))
MULTIPLIERS_85F = tuple(f"X{x + offset}/Y{y}/MULT18_{offset}" for y in (10, 34, 58)
                        for x in NINE_COLUMNS for offset in (0, 1, 4, 5))
RAMS_85F = tuple(f"X{x + 2 * number}/Y{y}/EBR{number}" for y in (22, 46, 70, 82)
                 for x in NINE_COLUMNS for number in range(4))
sites = {"MULT18X18D": MULTIPLIERS_85F, "DP16KD": RAMS_85F, "PDPW16KD": RAMS_85F}

MANY = 256           # packed multipliers, in 128 of the 156 blocks of the 85F
FULL = 196           # of the 208 block RAMs of the 85F; ``base`` by itself has 194

LOGIC = Logic(gates=("LUT4", "PFUMX", "L6MUX21", "CCU2C"), chains=("CCU2C",),
              registers=("TRELLIS_FF",), copied=("LUT4", "TRELLIS_FF"), data=("DI", "M"),
              memories=("DP16KD", "PDPW16KD"))

# Two sides of up to 18 bits, or one word of 36: then all that is read goes by the clock of B.
BLOCK_RAM = Block(
    kind="DP16KD",
    sides=(Side(r"DOA\d+", "CLKA", "CLKAMUX", "OCEA", "REGMODE_A"),
           Side(r"DOB\d+", "CLKB", "CLKBMUX", "OCEB", "REGMODE_B")),
    width="DATA_WIDTH_A", whole=36,
    register="TRELLIS_FF", plain={"CLKMUX": "CLK", "CEMUX": "1 ", "REGSET": "RESET"},
    slow=("MULT18X18D",))


class Ecp5Pll:
    """EHXPLLL with feedback from its own output: input * feedback / input divider."""

    def __init__(self, input_hz: float, output_mhz: float):
        self._input_mhz, self._mhz = input_hz / 1e6, output_mhz
        self._divider, self._feedback, self._output_divider = own_dividers(
            self._input_mhz, output_mhz)
        self.hz = round(output_mhz * 1e6)

    def add(self, m: Module, platform: Any, clock: Signal,
            late: Signal | None = None) -> Value:
        locked = Signal()
        self.source = platform.request(platform.default_clk).i
        divider = self._output_divider
        # A phase is counted in cycles of the oscillator, and in eighths of one.
        eighths = 8 * (divider // 2) + 6 * divider
        second = {} if late is None else dict(
            p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=divider, p_CLKOS_CPHASE=eighths // 8,
            p_CLKOS_FPHASE=eighths % 8, o_CLKOS=late)
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{self._input_mhz:g}", a_FREQUENCY_PIN_CLKOP=f"{self._mhz:g}",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", **FIXED_PARAMETERS,
            p_CLKI_DIV=self._divider, p_CLKFB_DIV=self._feedback, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=self._output_divider,
            p_CLKOP_CPHASE=self._output_divider // 2, p_CLKOP_FPHASE=0,
            i_CLKI=self.source,
            i_CLKFB=clock, **FIXED_INPUTS,
            o_CLKOP=clock, o_LOCK=locked, **second)
        return locked


def pll(input_hz: float, output_mhz: float, device: Sequence[str]) -> Ecp5Pll:
    """The clock generator for ``output_mhz`` MHz."""
    return Ecp5Pll(input_hz, output_mhz)


def synthesis(top: str, config: AcceleratorConfig, device: Sequence[str]) -> Sequence[str]:
    """The commands of yosys between reading and writing."""
    commands = [f"synth_ecp5 -top {top}"]
    if config.parameter_words <= DISTRIBUTED_WORDS and not config.packed_multipliers:
        parameters = f"{top}.accelerator.core*.datapath.parameter_buffer"   # of all cores
        commands.insert(0, f'setattr -set ram_style "distributed" {parameters}/m:*')
    if config.codebook_entries:     # yosys would take registers, and multiplexers for each weight
        codebook = f"{top}.accelerator.core*.datapath.weights.codebook"
        commands.insert(0, f'setattr -set ram_style "distributed" {codebook}/m:*')
    return commands


def arrange(module: dict[str, Any], device: Sequence[str], config: AcceleratorConfig) -> None:
    """Use the registers of block RAM; copy what has many loads."""
    fold_output_registers(module, BLOCK_RAM)
    split_fanout(module, LOGIC)


def floorplan(device: Sequence[str], config: AcceleratorConfig, mhz: float,
              rams: int) -> Step | None:
    """A placement for the sites of blocks, where wires are what the device runs out of.

    A packed block feeds four times the wires of a plain one; the vector unit lies between the array
    and what it serves; and where most sites are taken, blocks lie far from each other.
    """
    many = config.packed_multipliers and config.multipliers >= MANY
    if not (many or config.vector_unit or rams > FULL) or not set(LARGE) & set(device):
        return None
    return Step("nextpnr-ecp5", (*_design(device, mhz, 1), "--no-route", "--write", "placed.json"),
                "placed.json")


def place(device: Sequence[str], mhz: float, seed: int) -> Step:
    """Place and route ``top.json``."""
    return Step("nextpnr-ecp5", (*_design(device, mhz, seed), "--textcfg", "top.config",
                                 "--report", "report.json"), "top.config")


def _design(device: Sequence[str], mhz: float, seed: int) -> tuple[str, ...]:
    """Arguments for the design that is placed, and for its clock."""
    return (*device, "--json", "top.json", "--lpf", "top.lpf", "--lpf-allow-unconstrained",
            "--freq", f"{mhz:g}", "--seed", str(seed), "--timing-allow-fail",
            "--placer-heap-timingweight", str(TIMING_WEIGHT))


def pack(device: Sequence[str]) -> Step:
    """Make the bitstream."""
    return Step("ecppack", ("--compress", "--input", "top.config", "--bit", "top.bit"), "top.bit")
