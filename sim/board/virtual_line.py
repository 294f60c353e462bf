"""Powers a virtual board up and gives the transport to it, by UART or by Ethernet."""

from __future__ import annotations

from kaniwa.sim.board.board_design import BoardDesign
from kaniwa.sim.board.ethernet_pins import EthernetPins
from kaniwa.sim.board.ethernet_transport import EthernetTransport
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.device.verilate import Progress

__all__ = ["power_up"]


def power_up(design: BoardDesign,
             progress: Progress | None = None) -> PinTransport | EthernetTransport:
    """The transport to the board of ``design``; raises DeviceError as they do."""
    if design.board.ethernet is None:
        return PinTransport(design, progress)
    return EthernetTransport(EthernetPins(design, progress))
