"""A virtual board with Ethernet as a transport for the host's link: the host's end of UDP."""

from __future__ import annotations

from kaniwa.driver.datagrams.format import NUMBERS
from kaniwa.driver.datagrams.row import TICKS
from kaniwa.driver.datagrams.transport import DatagramTransport
from kaniwa.sim.board.ethernet_pins import EthernetPins

__all__ = ["EthernetTransport"]


class EthernetTransport(DatagramTransport):
    """The transport of real boards over UDP, to ``pins`` and by their clock.

    It has what ``PinTransport`` has besides. Raises DeviceError where the board does not answer.
    """

    def __init__(self, pins: EthernetPins) -> None:
        self.pins = pins
        super().__init__(pins, lambda: int(pins.now() * TICKS) % NUMBERS)
        self.pace = pins.pace

    @property
    def line_cycles(self) -> int:
        """Cycles of the board since it was powered up."""
        return self.pins.line_cycles

    @property
    def bytes_taken(self) -> int:
        """Bytes of frames to the board."""
        return self.pins.bytes_taken

    @property
    def bytes_given(self) -> int:
        """Bytes of frames from the board."""
        return self.pins.bytes_given

    @property
    def waiting(self) -> int:
        """Bytes for the board that are not on the line yet."""
        return self.pins.waiting

    def power_cycle(self) -> None:
        """Take the board's power away and give it back: its memory is lost."""
        self.pins.power_cycle()

    def outside_memory(self, offset: int, size: int) -> None:
        """None: what is written to outside memory goes over the line."""
        return None
