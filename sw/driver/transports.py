"""Byte streams to a device: serial port or pseudo-terminal, TCP, UDP, and SPI."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import time
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl

from kaniwa.driver.bridge_protocol import (
    MOST_LAST_WORDS,
    ask_for_the_device,
    clients_token,
    ended,
    reason_in,
)
from kaniwa.driver.datagrams.format import PORT
from kaniwa.driver.frames import MOST_CORES
from kaniwa.errors import DeviceError

__all__ = ["Transport", "Bounded", "SerialTransport", "TcpTransport", "Address",
           "parse_address", "open_transport", "usb_ports", "DEFAULT_BAUD"]

DEFAULT_BAUD = 3_000_000
DEFAULT_HZ = 1_000_000    # of SPI: all boards and wires of 20 cm can do it
LEAST_HZ = 10_000
LEAST_BAUD = 300          # what adapters do; a device that is not there is given up in seconds
BITS_A_BYTE = 10          # with start and stop bit
CONNECT_SECONDS = 5.0
WRITE_SECONDS = 30.0      # a line that takes no byte for so long is broken
CHUNK = 65536
# What follows the kind of a device in its name; UDP is over IPv4, whose hosts have no colon.
PLACES = {"serial": r".+", "tcp": r".+:[0-9]{1,5}", "udp": r"[^:]+(:[0-9]{1,5})?", "spi": r".+"}
OPTIONS = {"serial": ("baud",), "tcp": (), "udp": (), "spi": ("hz",)}   # pace and core: of all


def usb_ports() -> list[Any]:
    """pyserial's descriptions of the serial ports of USB adapters, in order."""
    from serial.tools.list_ports import comports

    return [port for port in sorted(comports()) if port.vid is not None]


class Transport(Protocol):
    """A byte stream with a clock. ``name`` is for messages; ``pace`` its bytes a second, if known.

    ``read`` and ``write`` raise DeviceError once the line is gone.
    """

    name: str
    pace: float | None

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""

    def read(self, seconds: float) -> bytes:
        """Bytes that have arrived; waits up to ``seconds`` for a first byte, then gives b""."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def close(self) -> None:
        """Give the line up; a second call does nothing."""


@runtime_checkable
class Bounded(Protocol):
    """A transport whose device drops what finds no room: so at most ``room`` bytes are to be in
    flight to it.
    """

    room: int


@dataclass(frozen=True)
class Address:
    """A device's name taken apart: ``serial:PATH?baud=B&pace=P&core=C``,
    ``tcp:HOST:PORT?pace=P&core=C&token-file=F``, ``udp:HOST:PORT?pace=P&core=C`` or
    ``spi:PATH?hz=N&pace=P&core=C``.
    """

    kind: str
    place: str
    baud: int = DEFAULT_BAUD
    pace: int | None = None
    token_file: str | None = None
    core: int = 0
    hz: int = DEFAULT_HZ     # of SCK, for spi

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Of tcp and udp."""
        host, _, port = self.place.rpartition(":")
        return host, int(port)


def parse_address(name: str) -> Address:
    """Raises DeviceError for a name of the wrong form."""
    found = re.fullmatch(rf"({'|'.join(PLACES)}):([^?]+)(?:\?(.*))?", name)
    if found is None or not re.fullmatch(PLACES[found[1]], found[2]):
        raise DeviceError(f"device '{name}': expected serial:PORT[?baud=B], tcp:HOST:PORT, "
                          "udp:HOST[:PORT] or spi:PATH[?hz=N]")
    kind, place = found[1], found[2]
    if kind == "udp" and ":" not in place:
        place = f"{place}:{PORT}"
    numbers: dict[str, int] = {}
    token_file = None
    known = (*OPTIONS[kind], "pace", "core")
    for key, value in parse_qsl(found[3] or "", keep_blank_values=True):
        if key == "token-file" and value and kind == "tcp":
            token_file = value
            continue
        if key == "token-file" and kind == "tcp":
            raise DeviceError(f"device '{name}': token-file has no name of a file behind '='")
        form = "[0-9]" if key == "core" else "[1-9][0-9]{0,8}"
        if key not in known or not re.fullmatch(form, value):
            raise DeviceError(f"device '{name}': after '?' expected {' or '.join(known)} with a "
                              f"number, found '{key}={value}'")
        numbers[key] = int(value)
    if numbers.get("baud", DEFAULT_BAUD) < LEAST_BAUD:
        raise DeviceError(f"device '{name}': baud must be at least {LEAST_BAUD}, not "
                          f"{numbers['baud']}")
    if numbers.get("core", 0) >= MOST_CORES:
        raise DeviceError(f"device '{name}': core must be 0..{MOST_CORES - 1}, not "
                          f"{numbers['core']}")
    if numbers.get("hz", DEFAULT_HZ) < LEAST_HZ:
        raise DeviceError(f"device '{name}': hz must be at least {LEAST_HZ}, not {numbers['hz']}")
    if kind == "spi":     # the host sets the line's rate, whatever the board could do
        numbers.setdefault("pace", numbers.get("hz", DEFAULT_HZ) // 8)
    port = place.rpartition(":")[2]
    if kind in ("tcp", "udp") and not 1 <= int(port) <= 65535:
        raise DeviceError(f"device '{name}': the port must be 1..65535, not {port}")
    return Address(kind, place, token_file=token_file, **numbers)


def open_transport(address: Address) -> Transport:
    """Open the byte stream. Raises DeviceError, one line that says what is wrong."""
    if address.kind == "serial":
        return SerialTransport(address.place, address.baud)
    if address.kind == "udp":
        from kaniwa.driver.datagrams.transport import UdpTransport

        return UdpTransport(*address.host_and_port)
    if address.kind == "spi":
        from kaniwa.driver.spi.transport import SpiTransport

        return SpiTransport(address.place, address.hz)
    return TcpTransport(*address.host_and_port, clients_token(address.token_file))


class _FileTransport:
    """Parts that both kinds share: a file descriptor that is waited for, read and written."""

    name: str
    stands_still = False

    def now(self) -> float:
        return time.monotonic()

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                ready = select.select([], [self.fileno()], [], WRITE_SECONDS)[1]
            except OSError as error:
                raise self._lost(error) from None
            if not ready:
                raise DeviceError(f"{self.name}: the line takes no data: is the other side "
                                  "stopped?")
            left = left[self.offer(left):]

    def offer(self, data: bytes | memoryview) -> int:
        """Send as much of ``data`` as the line takes without waiting; gives how many bytes."""
        try:
            return os.write(self.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost(error) from None

    def read(self, seconds: float) -> bytes:
        try:
            if not select.select([self.fileno()], [], [], max(0.0, seconds))[0]:
                return b""
            data = os.read(self.fileno(), CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(error) from None
        if not data:
            raise self._lost(None)
        return data

    def fileno(self) -> int:
        """Number of the open file; OSError where it is closed."""
        raise NotImplementedError

    def _lost(self, error: OSError | None) -> DeviceError:
        why = f" ({error.strerror})" if error is not None and error.strerror else ""
        return DeviceError(f"{self.name}: connection lost{why}: check cable and power, "
                           "then run again")


class SerialTransport(_FileTransport):
    """A serial port or pseudo-terminal, held alone."""

    def __init__(self, path: str, baud: int) -> None:
        import serial

        self.name = path
        self.pace: float | None = baud / BITS_A_BYTE
        self._port: Any = None
        try:
            self._port = serial.Serial(path, baud, timeout=0, exclusive=True)
            self._port.reset_input_buffer()
        except (OSError, ValueError) as error:
            raise DeviceError(_why_not_opened(path, baud, error)) from None
        # USB adapters collect short answers for up to 16 ms otherwise; few other ports know this.
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            self._port.set_low_latency_mode(True)

    def close(self) -> None:
        if self._port is not None:
            with contextlib.suppress(OSError):
                self._port.close()
            self._port = None

    def fileno(self) -> int:
        if self._port is None:
            raise OSError(errno.EBADF, "closed")
        fd: int = self._port.fileno()
        return fd


class TcpTransport(_FileTransport):
    """A TCP connection; its server talks to one client at a time.

    ``token``: the server must be a bridge that asks for it, else it is not used.
    """

    def __init__(self, host: str, port: int, token: bytes | None = None) -> None:
        self.name = f"{host}:{port}"
        self.pace: float | None = None
        self._socket: socket.socket | None = None
        self._last = b""     # bytes that came last: a bridge ends with a reason
        try:
            self._socket = socket.create_connection((_plain(host), port), CONNECT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if token is not None:
                ask_for_the_device(self._socket, token, self.name)
            self._socket.setblocking(False)
        except (OSError, OverflowError, UnicodeError) as error:
            self.close()
            raise DeviceError(f"{self.name}: no connection ({error}): is the device's server "
                              "running?") from None
        except DeviceError:
            self.close()
            raise

    def read(self, seconds: float) -> bytes:
        data = super().read(seconds)
        self._last = (self._last + data)[-MOST_LAST_WORDS:]
        return data

    def _lost(self, error: OSError | None) -> DeviceError:
        """As of all lines, or the reason that a bridge gave, which may still wait to be read."""
        with contextlib.suppress(OSError):
            while data := os.read(self.fileno(), CHUNK):
                self._last = (self._last + data)[-MOST_LAST_WORDS:]
        reason = reason_in(self._last)
        return super()._lost(error) if reason is None else ended(self.name, reason)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def fileno(self) -> int:
        if self._socket is None:
            raise OSError(errno.EBADF, "closed")
        return self._socket.fileno()


def _plain(host: str) -> str:
    """``host`` without the brackets that addresses of IPv6 may have."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _why_not_opened(path: str, baud: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.EWOULDBLOCK, errno.EBUSY) or "lock" in str(error).lower():
        return f"{path}: in use by another program: end that one first"
    if number == errno.ENOENT:
        return f"{path}: no such port; `kaniwa devices` lists what is plugged in"
    if number == errno.EACCES:
        return f"{path}: no permission: add yourself to the group that owns it (often dialout)"
    if isinstance(error, ValueError):
        return f"{path}: the port cannot do {baud} baud"
    if number is not None:
        return f"{path}: cannot be opened ({os.strerror(number)})"
    if "configure" in str(error):
        return f"{path}: not a serial port"
    return f"{path}: cannot be opened ({error})"
