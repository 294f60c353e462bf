"""Clocks of DDR3 memory on Lattice ECP5: an edge clock, and the accelerator's, which is half it."""

from __future__ import annotations

from typing import Any

from amaranth import *

from kaniwa.boards.families.ecp5_pll import FIXED_INPUTS, FIXED_PARAMETERS, own_dividers

__all__ = ["Ecp5Ddr3Clocks"]

INIT_MHZ = 25             # about, of what starts the PHY: its steps are 8 cycles each


class Ecp5Ddr3Clocks:
    """A PLL's output of twice ``output_mhz`` goes through a cell that stops it, and a divider.

    ``bridge``: the memory's pins are at two sides of the device, and the edge clock goes to both.
    ``hz``: of the clock that ``add`` drives. Source: Lattice FPGA-TN-02035, chapter 6; and
    LiteDRAM's generator, which has the same cells. ConfigError where the PLL cannot make it.
    """

    def __init__(self, input_hz: float, output_mhz: float, bridge: bool):
        self._input_mhz, self._twice = input_hz / 1e6, 2 * output_mhz
        self._divider, self._feedback, self._own = own_dividers(
            self._input_mhz, self._twice, ", twice the clock,")
        self._bridge = bridge
        self.hz = round(output_mhz * 1e6)

    def add(self, m: Module, platform: Any, clock: Signal, twice: Signal, init: Signal,
            stop: Value, reset: Value) -> Value:
        """Drive ``clock``, ``twice`` and ``init``; gives 1 once the PLL is stable.

        ``stop`` holds ``twice``, and ``reset`` the divider behind it.
        """
        locked, made, bridged = Signal(), Signal(), Signal()
        self.source = platform.request(platform.default_clk).i
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{self._input_mhz:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self._twice:g}",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", **FIXED_PARAMETERS,
            p_CLKI_DIV=self._divider, p_CLKFB_DIV=self._feedback, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=self._own, p_CLKOP_CPHASE=self._own // 2,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=round(self._twice * self._own / INIT_MHZ),
            p_CLKOS_CPHASE=0, p_CLKOS_FPHASE=0,
            i_CLKI=self.source, i_CLKFB=made, **FIXED_INPUTS,
            o_CLKOP=made, o_CLKOS=init, o_LOCK=locked)
        if self._bridge:
            # No constant has a way to the other clock.
            m.submodules.bridge = Instance("ECLKBRIDGECS", i_CLK0=made, i_SEL=0, o_ECSOUT=bridged)
        else:
            m.d.comb += bridged.eq(made)
        m.submodules.stopped = Instance("ECLKSYNCB", i_ECLKI=bridged, i_STOP=stop, o_ECLKO=twice)
        m.submodules.divided = Instance("CLKDIVF", p_DIV="2.0", i_ALIGNWD=0, i_CLKI=twice,
                                        i_RST=reset, o_CDIVX=clock)
        return locked
