"""The clock of the flash that an ECP5 starts from: a pin of the configuration logic."""

from __future__ import annotations

from amaranth import *

__all__ = ["flash_clock"]


def flash_clock(sck: Value) -> Instance:
    """Drives the pin MCLK, which no design has among its own, once it is configured.

    USRMCLKTS takes the pin away from the design; Lattice's guide (FPGA-TN-02039) wants a signal
    there, no constant. It is the reset.
    """
    return Instance("USRMCLK", i_USRMCLKI=sck, i_USRMCLKTS=ResetSignal("sync"))
