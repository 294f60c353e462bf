"""Pins of the OrangeCrab r0.2's DDR3 that amaranth-boards has otherwise.

From gsd_orangecrab.py of github.com/litex-hub/litex-boards. amaranth-boards has balls for the banks
that the package has not, pairs of strobes that are none, the masks crossed, and the FPGA's own
termination.
"""

from amaranth.build import Attrs, DiffPairs, Pins, Resource, Subsignal
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_85FPlatform

__all__ = ["OrangeCrab85FPlatform"]

OTHERWISE = {pins.name: pins for pins in (
    Subsignal("ba", Pins("D6 B7 A6", dir="o")),
    Subsignal("dqs", DiffPairs("B15 G18", "A16 H17", dir="io"),
              Attrs(IO_TYPE="SSTL135D_I", TERMINATION="OFF", DIFFRESISTOR="100")),
    Subsignal("dq", Pins("C17 D15 B17 C16 A15 B13 A17 A13 F17 F16 G15 F15 J16 C18 H16 F18",
                         dir="io"), Attrs(TERMINATION="OFF")),
    Subsignal("dm", Pins("D16 G16", dir="o")))}


def _mended(resource: Resource) -> Resource:
    """The resource, if it is the DDR3 with what is above."""
    if resource.name != "ddr3":
        return resource
    ios = [OTHERWISE.get(pins.name, pins) for pins in resource.ios]
    return Resource("ddr3", resource.number, *ios, resource.attrs)


class OrangeCrab85FPlatform(OrangeCrabR0_2_85FPlatform):
    """The board with its DDR3, and with pins beside it that are held at levels of supplies."""

    resources = [_mended(resource) for resource in OrangeCrabR0_2_85FPlatform.resources]
