"""Pins of Olimex' GateMateA1-EVB.

From Olimex' schematic, ``HARDWARE/GateMateA1-EVB-Rev.C`` of github.com/OLIMEX/GateMateA1-EVB, with
which the board's file in github.com/litex-hub/litex-boards agrees. The names DBG-UART_TX and
DBG-UART_RX in the schematic are the RP2040's: its transmitter is the FPGA's receiver.
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
