"""The transport over a SPI port of Linux: bytes are read by sending, zeros where there are none."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Callable
from typing import Any

from kaniwa.errors import DeviceError
from kaniwa.extras import needed

__all__ = ["SpiTransport"]

MOST_CHUNK = 4096            # bytes of a transfer, unless the kernel was told otherwise
LEAST_CHUNK = 16             # bytes of a look for replies: the answer to a request without data
CHUNK_SECONDS = 0.01         # a transfer takes at most so long, for nothing ends it early
LONGEST_REST = 0.002         # seconds between two looks
FIRST_REST = 0.00005
ZEROS = re.compile(rb"\0+")


class SpiTransport:
    """A device of ``/dev/spidev``, held alone; SCK has at most ``hz``.

    The device sends a zero where it has nothing to say, and so does the host. Zeros end frames, and
    frames without bytes mean nothing: of zeros in a row only the first one is passed on.
    ``clock`` and ``rest`` are those of time, for tests.
    """

    stands_still = False

    def __init__(self, path: str, hz: int, *,
                 clock: Callable[[], float] = time.monotonic,
                 rest: Callable[[float], None] = time.sleep) -> None:
        with needed("a device on SPI", "spi", DeviceError):
            import spidev

        self.name = path
        self.pace: float | None = hz / 8
        self._clock, self._rest = clock, rest
        self._chunk = max(LEAST_CHUNK, min(MOST_CHUNK, int(hz / 8 * CHUNK_SECONDS)))
        self._arrived = bytearray()
        self._in_frame = False      # the last byte of the line was no zero
        self._port: Any = spidev.SpiDev()
        try:
            self._port.open_path(path)
            fcntl.flock(self._port.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._port.mode = 0
            self._port.bits_per_word = 8
            self._port.max_speed_hz = hz
        except OSError as error:
            self.close()
            raise DeviceError(_why_not_opened(path, hz, error)) from None

    def write(self, data: bytes) -> None:
        """Send all of ``data``; what comes meanwhile waits for ``read``."""
        for at in range(0, len(data), self._chunk):
            self._transfer(data[at:at + self._chunk])

    def read(self, seconds: float) -> bytes:
        """Bytes that have arrived; looks for some for up to ``seconds``, then gives b""."""
        end, rest = self.now() + seconds, FIRST_REST
        while not self._arrived:
            self._transfer(bytes(LEAST_CHUNK))
            left = end - self.now()
            if self._arrived or left <= 0:
                break
            self._rest(min(rest, left))
            rest = min(2 * rest, LONGEST_REST)
        # The device does not pause within a frame.
        while self._in_frame and len(self._arrived) < self._chunk:
            self._transfer(bytes(self._chunk))
        data = bytes(self._arrived)
        self._arrived.clear()
        return data

    def now(self) -> float:
        return self._clock()

    def close(self) -> None:
        if self._port is not None:
            with contextlib.suppress(OSError):
                self._port.close()
            self._port = None

    def _transfer(self, data: bytes) -> None:
        """Send ``data``, and keep what comes for it."""
        if self._port is None:
            raise DeviceError(f"{self.name}: the port is closed")
        try:
            came = self._port.xfer2(list(data))
        except OSError as error:
            raise DeviceError(f"{self.name}: the SPI port failed ({error.strerror}): check its "
                              "driver, then run again") from None
        data = ZEROS.sub(b"\0", bytes(came))
        self._arrived += data if self._in_frame else data.removeprefix(b"\0")
        self._in_frame = data[-1:] != b"\0"


def _why_not_opened(path: str, hz: int, error: OSError) -> str:
    if error.errno in (errno.EWOULDBLOCK, errno.EBUSY):
        return f"{path}: in use by another program: end that one first"
    if error.errno == errno.ENOENT:
        return (f"{path}: no such SPI port: is SPI switched on (on a Raspberry Pi by "
                "raspi-config), and the name right?")
    if error.errno == errno.EACCES:
        return f"{path}: no permission: add yourself to the group that owns it (often spi)"
    if error.errno in (errno.ENOTTY, errno.EINVAL):
        return f"{path}: not a SPI port that can do mode 0 at {hz:,} Hz"
    return f"{path}: cannot be opened ({os.strerror(error.errno or 0)})"
