"""Builds for Cologne Chip GateMate: CC_PLL, yosys, nextpnr-himbaechel, gmpack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import *

from kaniwa.boards.families.family import Step
from kaniwa.boards.families.usual import REDUCE, as_it_is, no_floorplan, plain_multiplier
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.memory.system import OnChipMemory

constraints = "ccf"
memory = OnChipMemory
multiplier = plain_multiplier
arrange = as_it_is
floorplan = no_floorplan
# A cell of the device has two trees of four inputs or one of five, two flip-flops, a full adder of
# two bits or a multiplier of 2 x 2 bits.
cells = {
    **{f"CC_LUT{inputs}": {"lut": 1} for inputs in range(1, 5)},
    "CC_L2T4": {"lut": 1}, "CC_L2T5": {"lut": 2}, "CC_MX2": {"lut": 1}, "CC_MX4": {"lut": 2},
    "CC_ADDF": {"lut": 1}, "CC_MULT": {}, "CC_DFF": {"ff": 1}, "CC_DLT": {"ff": 1},
    "CC_BRAM_20K": {"bram": 1}, "CC_BRAM_40K": {"bram": 2},
}
bels = {"ff": "CPE_FF"}
reduce = REDUCE


class GateMatePll:
    """CC_PLL, told both frequencies: place-and-route finds its dividers.

    The ratio has to be one of whole numbers up to 64, so that the dividers make it exactly.
    """

    def __init__(self, input_hz: float, output_mhz: float):
        input_mhz = input_hz / 1e6
        factors = ((divider, round(output_mhz * divider / input_mhz)) for divider in range(1, 65))
        if not any(1 <= factor <= 64 and abs(input_mhz * factor / divider - output_mhz) < 1e-6
                   for divider, factor in factors):
            raise ConfigError(f"the PLL cannot make {output_mhz:g} MHz of {input_mhz:g} MHz: "
                              "choose another clock")
        self._input_mhz, self._output_mhz = input_mhz, output_mhz
        self.hz = round(output_mhz * 1e6)

    def add(self, m: Module, platform: Any, clock: Signal) -> Value:
        locked = Signal()
        m.submodules.pll = Instance(
            "CC_PLL", p_REF_CLK=f"{self._input_mhz:g}", p_OUT_CLK=f"{self._output_mhz:g}",
            p_PERF_MD="SPEED", p_LOW_JITTER=1, p_CI_FILTER_CONST=2, p_CP_FILTER_CONST=4,
            p_LOCK_REQ=1, i_CLK_REF=platform.request(platform.default_clk).i,
            i_USR_CLK_REF=0, i_CLK_FEEDBACK=0, i_USR_LOCKED_STDY_RST=0,
            o_USR_PLL_LOCKED=locked, o_CLK0=clock)
        return locked


def pll(input_hz: float, output_mhz: float, device: Sequence[str]) -> GateMatePll:
    """The clock generator for ``output_mhz`` MHz."""
    return GateMatePll(input_hz, output_mhz)


def synthesis(top: str, config: AcceleratorConfig, device: Sequence[str]) -> Sequence[str]:
    """The commands of yosys between reading and writing."""
    return [f"synth_gatemate -luttree -nomx8 -top {top}", "autoname"]


def place(device: Sequence[str], mhz: float, seed: int) -> Step:
    """Place and route ``top.json``."""
    return Step("nextpnr-himbaechel-gatemate", (
        *device, "--json", "top.json", "--vopt", "ccf=top.ccf", "--vopt", "out=top.txt",
        # At the default density, 0.9, routing takes far longer
        # (github.com/YosysHQ/nextpnr/issues/1732).
        "--placer-heap-beta", "0.6",
        # Nets that pass logic cells are cut there once they are routed, by a function that calls
        # itself for each wire: more of them than the stack of the wheel's nextpnr has room for.
        "--vopt", "no-bridges", "--vopt", "no-cpe-cp",
        "--router", "router2", "--freq", f"{mhz:g}", "--seed", str(seed),
        "--report", "report.json", "--timing-allow-fail"), "top.txt")


def pack(device: Sequence[str]) -> Step:
    """Make the bitstream."""
    return Step("gmpack", ("top.txt", "top.bit"), "top.bit")
