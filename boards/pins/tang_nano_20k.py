"""Pins of Sipeed's Tang Nano 20K.

From github.com/litex-hub/litex-boards, ``litex_boards/platforms/sipeed_tang_nano_20k.py``.
"""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import GowinPlatform
from amaranth_boards.resources import UARTResource

__all__ = ["TangNano20kPlatform"]

LVCMOS33 = Attrs(IO_TYPE="LVCMOS33")


class TangNano20kPlatform(GowinPlatform):
    """Clock, and the UART to the board's BL616."""

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    default_clk = "clk27"
    resources = [
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), LVCMOS33),
        UARTResource(0, rx="70", tx="69", attrs=Attrs(PULL_MODE="UP", IO_TYPE="LVCMOS33")),
    ]
    connectors: list[object] = []
