"""Pins of the Colorlight i5 on Muse Lab's extension board.

The clock from github.com/wuxx/Colorlight-FPGA-Projects, the UART from the file colorlight_i5.py of
github.com/litex-hub/litex-boards, which names the extension board's schematic as its source.
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
