"""Pins of Sipeed's Tang Nano 20K.

From github.com/litex-hub/litex-boards, ``litex_boards/platforms/sipeed_tang_nano_20k.py``. The pads
of the SDRAM in the package from github.com/YosysHQ/apicula, ``doc/sdram.md``; its database has the
same. No pin of the package is at them, so each is named by its side, row and half.
"""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import GowinPlatform
from amaranth_boards.resources import SDRAMResource, UARTResource

__all__ = ["TangNano20kPlatform"]

LVCMOS33 = Attrs(IO_TYPE="LVCMOS33")


class TangNano20kPlatform(GowinPlatform):
    """Clock, the UART to the board's BL616, and the SDRAM in the FPGA's package."""

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    default_clk = "clk27"
    resources = [
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), LVCMOS33),
        UARTResource(0, rx="70", tx="69", attrs=Attrs(PULL_MODE="UP", IO_TYPE="LVCMOS33")),
        SDRAMResource(
            0, clk="IOR11B", cke="IOL13A", cs_n="IOL14B", we_n="IOL12B", ras_n="IOL13B",
            cas_n="IOL14A", ba="IOR13A IOR12A",
            a="IOR14A IOR13B IOR14B IOR15A IOL16B IOL17B IOL16A IOL17A IOL15B IOL15A IOR12B",
            dq="IOL3A IOL3B IOL8A IOL8B IOL9A IOL9B IOL11A IOL11B "
               "IOR9B IOR9A IOR5B IOR6A IOR5A IOR4B IOR3B IOR3A "
               "IOL39B IOL39A IOL35B IOL35A IOL30B IOL30A IOL20A IOL18B "
               "IOR17A IOR16A IOR16B IOR17B IOR18A IOR18B IOR44A IOR44B",
            dqm="IOL12A IOR11A IOL18A IOR15B", attrs=LVCMOS33),
    ]
    connectors: list[object] = []
