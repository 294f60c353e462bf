"""Pins of Lattice's CrossLink-NX Evaluation Board, LIFCL-40-EVN.

From github.com/litex-hub/litex-boards, its file ``lattice_crosslink_nx_evn.py``, which
corrects Lattice's user guide: the resistors for the UART are R15 and R17.
"""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import LatticePlatform
from amaranth_boards.resources import UARTResource

__all__ = ["CrossLinkNxEvnPlatform"]

LVCMOS33 = Attrs(IO_TYPE="LVCMOS33")


class CrossLinkNxEvnPlatform(LatticePlatform):
    """Clock, and the UART to channel B of the board's FT2232H."""

    device = "LIFCL-40"
    package = "BG400"
    speed = "9"
    grade = "C"
    default_clk = "clk12"
    resources = [
        Resource("clk12", 0, Pins("L13", dir="i"), Clock(12e6), LVCMOS33),
        UARTResource(0, rx="F16", tx="F18", attrs=LVCMOS33),
    ]
    connectors: list[object] = []
