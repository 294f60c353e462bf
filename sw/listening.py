"""A TCP port to listen at, which others than this machine reach only behind a token."""

from __future__ import annotations

import ipaddress
import os
import socket

from kaniwa.errors import DeviceError

__all__ = ["listen"]


def listen(host: str, port: int, *, guarded: bool, backlog: int | None = None) -> socket.socket:
    """A socket that listens at ``port`` (0: any free one) of ``host``; "" is every address.

    ``guarded``: clients have to know a token. ``backlog``: connections that the kernel keeps until
    they are taken. Raises DeviceError where the port cannot be had, and for an address that others
    reach and that is not guarded.
    """
    place = f"{host}:{port}"
    try:
        family, *_, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM,
                                                 flags=socket.AI_PASSIVE)[0]
        found = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if not guarded and not found.is_loopback:
            raise DeviceError(f"{place}: others than this machine could use the device: give "
                              "--token-file, or listen on 127.0.0.1")
        return socket.create_server(address[:2], family=family, backlog=backlog)
    except (OSError, UnicodeError) as error:
        # Python's own text of an errno has the address again.
        number = getattr(error, "errno", None) or 0
        why = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise DeviceError(f"{place}: cannot listen ({why}): choose another --port or --host"
                          ) from None
