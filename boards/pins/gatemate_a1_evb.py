"""Pins of Olimex' GateMateA1-EVB.

From github.com/litex-hub/litex-boards, ``litex_boards/platforms/olimex_gatemate_a1_evb.py``. The
names of the UART's wires in Olimex' schematic are the RP2040's: its transmitter is the FPGA's
receiver.
"""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth_boards.resources import UARTResource

from kaniwa.boards.pins.gatemate import GateMatePlatform

__all__ = ["GateMateA1EvbPlatform"]


class GateMateA1EvbPlatform(GateMatePlatform):
    """Clock, and the UART to the board's RP2040."""

    device = "CCGM1A1"
    default_clk = "clk10"
    resources = [
        Resource("clk10", 0, Pins("IO_SB_A8", dir="i"), Clock(10e6),
                 Attrs(SCHMITT_TRIGGER="true")),
        UARTResource(0, rx="IO_SA_A6", tx="IO_SA_B6"),
    ]
    connectors: list[object] = []
