"""Pins of the Colorlight i5 on Muse Lab's extension board.

The clock and the SDRAM from the README.md of github.com/wuxx/Colorlight-FPGA-Projects, which
names the chip's pins; colorlight_i5.py of github.com/litex-hub/litex-boards has the same balls.
UART and Ethernet from that file, which names the extension board's schematic as its source. Of two
PHYs (Broadcom B50612D) it is the one that is number 0 there.
"""

from amaranth.build import Attrs, Clock, Pins, PinsN, Resource, Subsignal
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.resources import SDRAMResource, UARTResource

__all__ = ["ColorlightI5Platform"]

LVCMOS33 = Attrs(IO_TYPE="LVCMOS33")


class ColorlightI5Platform(LatticeECP5Platform):
    """Clock, the UART to the extension board's DAPLink, and of the module a PHY and the SDRAM.

    The SDRAM's CKE is tied to the supply, its CS and the four pins of the data mask to ground.
    """

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
        SDRAMResource(
            0, clk="B9", we_n="A10", ras_n="B10", cas_n="A9", ba="B11 C8",
            a="B13 C14 A16 A17 B16 B15 A14 A13 A12 A11 B12",
            dq="B6 A5 A6 A7 C7 B8 B5 A8 D8 D7 E8 D6 C6 D5 E7 C5 "
               "C10 D9 E11 D11 C11 D12 E9 C12 E14 C15 E13 D15 E12 B17 D14 D13",
            attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="NONE", DRIVE="4", SLEWRATE="FAST")),
    ]
    connectors: list[object] = []
