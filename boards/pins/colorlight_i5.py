"""Pins of the Colorlight i5 on Muse Lab's extension board.

The clock from github.com/wuxx/Colorlight-FPGA-Projects, UART and Ethernet from the file
colorlight_i5.py of github.com/litex-hub/litex-boards, which names the extension board's schematic
as its source. Of two PHYs (Broadcom B50612D) it is the one that is number 0 there.
"""

from amaranth.build import Attrs, Clock, Pins, PinsN, Resource, Subsignal
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.resources import UARTResource

__all__ = ["ColorlightI5Platform"]

LVCMOS33 = Attrs(IO_TYPE="LVCMOS33")


class ColorlightI5Platform(LatticeECP5Platform):
    """Clock, the UART to the extension board's DAPLink, and a PHY of the module."""

    device = "LFE5U-25F"
    package = "BG381"
    speed = "6"
    default_clk = "clk25"
    resources = [
        Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), LVCMOS33),
        UARTResource(0, rx="H18", tx="J17", attrs=LVCMOS33),
        Resource("eth_rgmii", 0,
                 Subsignal("rst", PinsN("P4", dir="o")),
                 Subsignal("mdio", Pins("P5", dir="io")),
                 Subsignal("mdc", Pins("N5", dir="o")),
                 Subsignal("tx_clk", Pins("G1", dir="o")),
                 Subsignal("tx_ctrl", Pins("K1", dir="o")),
                 Subsignal("tx_data", Pins("G2 H1 J1 J3", dir="o")),
                 Subsignal("rx_clk", Pins("H2", dir="i")),
                 Subsignal("rx_ctrl", Pins("P2", dir="i")),
                 Subsignal("rx_data", Pins("K2 L1 N1 P1", dir="i")),
                 LVCMOS33),
    ]
    connectors: list[object] = []
