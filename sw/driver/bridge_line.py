"""Between a bridge's device and its client: a line that is not waited for, bytes on their way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Buffer", "Line", "SimulatedLine"]

ROOM = 65536              # bytes kept in each direction; more stay where they come from
SLICE_SECONDS = 0.005     # of a simulated line's time, between two looks at the client
# Seconds without a byte from the host after which a simulated board stands still until the next
# one: a host that waits for the end of a run asks for it more often.
IDLE_SECONDS = 2.0


class Line(Protocol):
    """A byte stream to a device; methods raise DeviceError once it is gone.

    ``stands_still``: nothing comes unless something is sent, and waiting is of no use.
    """

    name: str

    @property
    def stands_still(self) -> bool: ...

    def fileno(self) -> int | None:
        """What to wait for, or None for a line whose time only passes in ``read``."""

    def offer(self, data: bytes) -> int:
        """Send as much of ``data`` as the line takes without waiting; gives how many bytes."""

    def read(self, seconds: float) -> bytes:
        """Bytes that have arrived; waits up to ``seconds`` for a first byte, then gives b""."""

    def close(self) -> None:
        """Give the line up."""


class Simulated(Protocol):
    """A simulated transport; ``waiting`` are the bytes for the device that are not on their way."""

    name: str

    @property
    def waiting(self) -> int: ...

    def write(self, data: bytes) -> None: ...

    def read(self, seconds: float) -> bytes: ...

    def close(self) -> None: ...


class SimulatedLine:
    """A simulated board's line; its time passes while it is read."""

    def __init__(self, transport: Simulated) -> None:
        self.name = transport.name
        self._transport = transport
        self._heard = time.monotonic()

    @property
    def stands_still(self) -> bool:
        """True until the next byte from the host."""
        return not self._transport.waiting and time.monotonic() - self._heard > IDLE_SECONDS

    def fileno(self) -> None:
        """There is no file."""

    def offer(self, data: bytes) -> int:
        """Send as much of ``data`` as the line has room for; gives how many bytes."""
        self._heard = time.monotonic()
        taken = data[:max(0, ROOM - self._transport.waiting)]
        self._transport.write(taken)
        return len(taken)

    def read(self, seconds: float) -> bytes:
        """Bytes that come in a moment of the board's time."""
        return b"" if self.stands_still else self._transport.read(max(seconds, SLICE_SECONDS))

    def close(self) -> None:
        """Give the line up; the board goes on being there."""
        self._transport.close()


class Buffer:
    """Bytes on their way in one direction, at most about twice ROOM; ``passed`` went through.

    ``since``: when the side that takes them took some last, or had none to take.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.passed = 0
        self.since = 0.0

    def __bool__(self) -> bool:
        return bool(self._bytes)

    @property
    def has_room(self) -> bool:
        """False while more is to stay where it comes from."""
        return len(self._bytes) < ROOM

    def put(self, data: bytes) -> None:
        """Add ``data`` behind the others."""
        if not self._bytes:
            self.since = time.monotonic()
        self._bytes += data

    def give(self, take: Callable[[bytes], int]) -> None:
        """Offer all bytes to ``take``, which says how many it took."""
        if not self._bytes:
            return
        if taken := take(bytes(self._bytes)):
            del self._bytes[:taken]
            self.passed += taken
            self.since = time.monotonic()
