"""Pins of the Colorlight i5 on Muse Lab's extension board.

From the extension board's schematic and picture of its pins, ``schematic/i5_v6.0-extboard.pdf`` and
``doc/i5_extboard_v1.2_pinout.png`` of github.com/wuxx/Colorlight-FPGA-Projects.
"""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.resources import UARTResource

__all__ = ["ColorlightI5Platform"]

LVCMOS33 = Attrs(IO_TYPE="LVCMOS33")


class ColorlightI5Platform(LatticeECP5Platform):
    """Clock, and the UART to the extension board's DAPLink."""

    device = "LFE5U-25F"
    package = "BG381"
    speed = "6"
    default_clk = "clk25"
    resources = [
        Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), LVCMOS33),
        UARTResource(0, rx="H18", tx="J17", attrs=LVCMOS33),
    ]
    connectors: list[object] = []
