"""A device-under-test adapter at the end of a line: a pseudo-terminal, or a TCP port."""

from __future__ import annotations

import contextlib
import os
import re
import select
from collections.abc import Callable

from kaniwa.errors import InputError
from kaniwa.listening import listen
from kaniwa.mlperf_tiny.dut import DutAdapter

__all__ = ["check_place", "serve"]

CHUNK = 4096


def check_place(place: str) -> tuple[str, int] | None:
    """Host and port of ``tcp:HOST:PORT``, None for ``pty``. Raises InputError for others."""
    if place == "pty":
        return None
    found = re.fullmatch(r"tcp:([^:]+):([0-9]{1,5})", place)
    if found is None or int(found[2]) > 65535:
        raise InputError(f"'{place}': expected pty or tcp:HOST:PORT (port 0: any free one)")
    return found[1], int(found[2])


def serve(adapter: DutAdapter, place: str, tell: Callable[[str], None]) -> None:
    """Answer hosts until an exception, such as an interrupt; ``tell`` hears where.

    Hosts come one after the other and find the adapter as it is. Raises DeviceError where the
    place cannot be had.
    """
    address = check_place(place)
    if address is None:
        _serve_terminal(adapter, tell)
    else:
        _serve_port(adapter, address, tell)


def _serve_terminal(adapter: DutAdapter, tell: Callable[[str], None]) -> None:
    import tty

    # The other end is kept open, so that a host may close and open it.
    master, other = os.openpty()
    try:
        tty.setraw(other)
        tell(os.ttyname(other))
        while True:
            select.select([master], [], [])
            answer = adapter.feed(os.read(master, CHUNK))
            while answer:
                answer = answer[os.write(master, answer):]
    finally:
        os.close(other)
        os.close(master)


def _serve_port(adapter: DutAdapter, address: tuple[str, int], tell: Callable[[str], None]) -> None:
    # The protocol has no token: whoever names an address offers the device to all that reach it.
    with listen(*address, guarded=True) as listening:
        host, port = listening.getsockname()[:2]
        tell(f"tcp:{host}:{port}")
        while True:
            line, _ = listening.accept()
            # A host that goes away in the middle ends its own connection only.
            with line, contextlib.suppress(ConnectionError):
                while data := line.recv(CHUNK):
                    line.sendall(adapter.feed(data))
            adapter.hang_up()
