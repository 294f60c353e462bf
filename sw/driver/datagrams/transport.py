"""The host's end of the link over UDP: a byte stream of frames in numbered datagrams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from kaniwa.driver.datagrams.format import MOST_BYTES, REQUEST_HEAD
from kaniwa.driver.datagrams.row import HostRow, number_of_the_time
from kaniwa.driver.datagrams.udp_socket import UdpSocket
from kaniwa.errors import DeviceError

__all__ = ["Datagrams", "DatagramTransport", "UdpTransport"]

PROBE_WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)   # seconds; finding a neighbour's address may take one
MOST_FRAMES = MOST_BYTES - REQUEST_HEAD    # bytes of frames in a datagram
# Bytes of requests in flight without their codes and zeros, which are 65 at most. A device that
# takes a datagram of the largest size is taken to have 2,048 bytes for them.
ROOM = 1980
# Waits in a row without a reply that was taken, but with one that was not, until the row begins
# again: one alone may be a wait in which nothing was due, with a datagram that came twice.
SILENCES = 2
# A frame that ends within a part: the device does nothing, and tells its session and what it
# expects. So the link learns of a reset before it sends anything; the frames in whose place this
# goes are lost, as those before were.
QUESTION = b"\xff\0"


class Datagrams(Protocol):
    """Datagrams to one device and back, with a clock; methods raise DeviceError."""

    name: str

    def send(self, datagram: bytes) -> None:
        """Send one."""

    def receive(self, seconds: float) -> bytes | None:
        """The next one; waits up to ``seconds`` for it, then gives None."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def fileno(self) -> int:
        """What to wait for; OSError where it is closed."""

    def close(self) -> None:
        """Give them up; a second call does nothing."""


class DatagramTransport:
    """A transport over ``datagrams``; raises DeviceError where no device answers.

    What is lost on the way is missing from the stream, which the link mends. ``clock`` gives the
    number that a row begins with.
    """

    room = ROOM
    stands_still = False

    def __init__(self, datagrams: Datagrams,
                 clock: Callable[[], int] = number_of_the_time) -> None:
        self.name = datagrams.name
        self.pace: float | None = None
        self._datagrams = datagrams
        self._row = HostRow(clock)
        self._part = b""          # of a frame that has yet to be written to its end
        self._known = False       # a reply was taken: the link may have a session
        self._silences = 0
        try:
            self._probe()
        except BaseException:
            self.close()
            raise

    def write(self, data: bytes) -> None:
        """Send the frames that end in ``data``, and keep the rest until its end is written."""
        frames, zero, self._part = (self._part + data).rpartition(b"\0")
        frames += zero
        if self._silences >= SILENCES and frames:
            frames = self._begin_again(frames)
        for part in self._parts(frames):
            self._datagrams.send(self._row.request(part))
        if len(self._part) >= MOST_FRAMES:
            raise self._too_long()

    def offer(self, data: bytes | memoryview) -> int:
        """As ``write``; gives how many bytes ``data`` has, for all are taken."""
        self.write(bytes(data))
        return len(data)

    def read(self, seconds: float) -> bytes:
        """Bytes of the frames that come next; waits up to ``seconds``, then gives b""."""
        end = self.now() + seconds
        while (datagram := self._datagrams.receive(max(0.0, end - self.now()))) is not None:
            frames = self._row.take(datagram)
            if frames is not None:
                self._silences, self._known = 0, True
            if frames:
                return frames
            if self.now() >= end:
                break
        if self._row.heard:
            self._silences += 1
            self._row.heard = False
        return b""

    def now(self) -> float:
        return self._datagrams.now()

    def fileno(self) -> int:
        """Number of the open file; OSError where it is closed."""
        return self._datagrams.fileno()

    def close(self) -> None:
        self._datagrams.close()

    def _probe(self) -> None:
        """Learn the number of the last request that the device has taken."""
        heard = 0
        for wait in PROBE_WAITS:
            self._datagrams.send(self._row.probe())
            end = self.now() + wait
            while (left := end - self.now()) > 0:
                datagram = self._datagrams.receive(left)
                if datagram is not None and self._row.begin(datagram):
                    return
                heard += datagram is not None
        if heard:
            raise DeviceError(f"{self.name}: {heard} datagrams came and no right answer among "
                              "them: is that port of a kaniwa device?")
        raise DeviceError(f"{self.name}: no answer: is the device powered, programmed and on this "
                          "network, and the address right?")

    def _begin_again(self, frames: bytes) -> bytes:
        """Get in step with the device again; gives what to send instead of ``frames``."""
        if self._known and self._row.overtaken:
            raise DeviceError(f"{self.name}: another program sends to the device: end that one, "
                              "then run again")
        self._silences = 0
        self._row.begin_again()
        return QUESTION if self._known else frames

    def _parts(self, frames: bytes) -> Iterator[bytes]:
        """``frames`` in as few parts as hold them; each has whole frames."""
        while frames:
            size = frames.rfind(b"\0", 0, MOST_FRAMES) + 1
            if not size:
                raise self._too_long()
            yield frames[:size]
            frames = frames[size:]

    def _too_long(self) -> DeviceError:
        return DeviceError(f"{self.name}: a frame of over {MOST_FRAMES:,} bytes fits into no "
                           "datagram: only the link's frames go this way")


class UdpTransport(DatagramTransport):
    """The transport to the device at UDP ``port`` of ``host``. Raises DeviceError."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(UdpSocket(host, port))
