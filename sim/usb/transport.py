"""A virtual board behind USB as a transport for the host's link: the serial port of a host."""

from __future__ import annotations

from kaniwa.sim.usb.host import Faults, Serial, UsbHost
from kaniwa.sim.usb.line import BIT_HZ
from kaniwa.sim.usb.pins import BIT_CYCLES, UsbPins

__all__ = ["UsbTransport"]

IO_HZ = BIT_HZ * BIT_CYCLES
PACKET_BYTES = 64
BETWEEN_BITS = 20        # from one transaction to the next


class UsbTransport:
    """Time is the board's: reading runs it until bytes come or the time is over.

    ``faults`` are those on the line, behind the enumeration. ``host.counts`` counts them.
    ``bytes_taken`` and ``bytes_given`` count the bytes of the serial port to and from the board.
    """

    def __init__(self, pins: UsbPins, faults: Faults | None = None, seed: int = 0) -> None:
        self.name = pins.name
        self.pace: float | None = None
        self.host = UsbHost(seed)
        self._pins, self._faults = pins, faults or Faults()
        self._pending = b""
        self._packet: bytes | None = None      # that is on its way, maybe again
        self.bytes_taken = self.bytes_given = 0
        self._serial = self._opened()

    @property
    def line_cycles(self) -> int:
        """Cycles of the board since its power came."""
        return self._pins.cycles

    @property
    def waiting(self) -> int:
        """Bytes for the board that it has not taken yet."""
        return len(self._pending) + len(self._packet or b"")

    def _opened(self) -> Serial:
        self.host.faults = Faults()
        serial = self._pins.do(self.host.enumerate())
        self.host.faults = self._faults
        return serial

    def reset(self) -> None:
        """A reset of the bus, and all that a host does behind one; what it had to send is lost."""
        self._pending, self._packet = b"", None
        self._serial = self._opened()

    def write(self, data: bytes) -> None:
        self._pending += data

    def read(self, seconds: float) -> bytes:
        end = self._pins.cycles + max(1, round(seconds * IO_HZ))
        while self._pins.cycles < end:
            if self._packet is None and self._pending:
                self._packet = self._pending[:PACKET_BYTES]
                self._pending = self._pending[PACKET_BYTES:]
            if self._packet is not None and self._pins.do(self._serial.offer(self._packet)):
                self.bytes_taken += len(self._packet)
                self._packet = None
            if came := self._pins.do(self._serial.poll()):
                self.bytes_given += len(came)
                return came
            self._pins.rest(BETWEEN_BITS * BIT_CYCLES)
        return b""

    def now(self) -> float:
        return self._pins.cycles / IO_HZ

    def outside_memory(self, offset: int, size: int) -> None:
        """None: boards behind USB are simulated without outside memory."""
        return None

    def close(self) -> None:
        """The board goes on being there; what is not on its way yet is not sent."""
        self._pending = b""
