"""Datagrams of UDP over IPv4 to one address and back."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time

from kaniwa.driver.datagrams.format import MOST_BYTES
from kaniwa.errors import DeviceError

__all__ = ["UdpSocket"]

WRITE_SECONDS = 30.0       # a network that takes no datagram for so long is broken
# Of Linux (include/uapi/linux/in.h): never cut a datagram in pieces, for no device joins them.
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2


class UdpSocket:
    """Datagrams to ``port`` of ``host``, by name or IPv4 address; those of others are not heard."""

    def __init__(self, host: str, port: int) -> None:
        self.name = f"udp:{host}:{port}"
        self._socket: socket.socket | None = None
        try:
            address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
            self._socket.settimeout(WRITE_SECONDS)
            self._socket.connect(address)
        except (OSError, UnicodeError) as error:
            self.close()
            raise DeviceError(f"{self.name}: no way to the device ({_why(error)}): check the "
                              "address and this machine's network") from None

    def send(self, datagram: bytes) -> None:
        try:
            self._open().send(datagram)
        except OSError as error:
            raise self._lost(error) from None

    def receive(self, seconds: float) -> bytes | None:
        try:
            if not select.select([self.fileno()], [], [], seconds)[0]:
                return None
            # One byte more than may be: what is too long is seen to be.
            return self._open().recv(MOST_BYTES + 1, socket.MSG_DONTWAIT)
        except BlockingIOError:      # it was damaged, which is only seen now
            return None
        except OSError as error:
            raise self._lost(error) from None

    def now(self) -> float:
        return time.monotonic()

    def fileno(self) -> int:
        return self._open().fileno()

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._socket

    def _lost(self, error: OSError) -> DeviceError:
        if error.errno == errno.EMSGSIZE:
            return DeviceError(f"{self.name}: the network takes no datagrams of {MOST_BYTES:,} "
                               "bytes: its MTU must be 1,500 at least")
        if error.errno == errno.ECONNREFUSED:
            return DeviceError(f"{self.name}: nobody listens at that port (Connection refused): "
                               "check the address, then run again")
        return DeviceError(f"{self.name}: connection lost ({_why(error)}): check cable and power, "
                           "then run again")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
