"""Powers a virtual board up and gives the transport to it, by UART, Ethernet or USB."""

from __future__ import annotations

from kaniwa.sim.board.board_design import BoardDesign
from kaniwa.sim.board.ethernet_pins import EthernetPins
from kaniwa.sim.board.ethernet_transport import EthernetTransport
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.device.verilate import Progress
from kaniwa.sim.usb.pins import UsbPins
from kaniwa.sim.usb.transport import UsbTransport

__all__ = ["VirtualTransport", "power_up"]

VirtualTransport = PinTransport | EthernetTransport | UsbTransport


def power_up(design: BoardDesign, progress: Progress | None = None) -> VirtualTransport:
    """The transport to the board of ``design``; raises DeviceError as they do."""
    if design.board.by_usb:
        return UsbTransport(UsbPins(design, progress=progress))
    if design.board.ethernet is not None:
        return EthernetTransport(EthernetPins(design, progress))
    return PinTransport(design, progress)
