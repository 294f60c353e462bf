"""A pseudo-terminal with a virtual board behind it, for hosts that open it like a serial port."""

from __future__ import annotations

import contextlib
import os
import select
import time
import tty
from collections.abc import Callable
from pathlib import Path

from kaniwa.errors import DeviceError
from kaniwa.sim.board.line_faults import FaultyTransport
from kaniwa.sim.board.pin_transport import PinTransport

__all__ = ["PseudoTerminal", "serve"]

CHUNK = 4096
SLICE_SECONDS = 0.005    # of the board, between two looks at the terminal
MOST_WAITING = 16384     # bytes for the board; more of them stay in the terminal
# Seconds without a byte from the host after which the board stands still until the next one: a host
# that waits for the end of a run asks for it more often.
IDLE_SECONDS = 2.0


class PseudoTerminal:
    """The end without a name of a pseudo-terminal; ``path`` is the other one.

    ``link``: a symbolic link that is kept to ``path``, which changes with ``replug``. Raises
    DeviceError where it cannot be made.
    """

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._plug_in()
        try:
            self._point_link()
        except DeviceError:
            self.close()
            raise

    def _plug_in(self) -> None:
        # The other end is kept open, so that a host may close and open it.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)

    def _point_link(self) -> None:
        if self._link is None:
            return
        beside = self._link.with_name(f".{self._link.name}.{os.getpid()}")
        try:
            if self._link.exists() and not self._link.is_symlink():
                raise FileExistsError(0, "there is something else of that name")
            os.symlink(self.path, beside)
            os.replace(beside, self._link)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise DeviceError(f"{self._link}: the link to {self.path} cannot be made "
                              f"({error.strerror})") from None

    def replug(self) -> None:
        """Pull the cable, which ends the host's connection, and plug it in again."""
        self._close_ends()
        self._plug_in()
        self._point_link()

    def read(self, wait: bool) -> bytes:
        """Bytes that the host has sent; with ``wait``, not before there are some."""
        if not select.select([self._master], [], [], None if wait else 0)[0]:
            return b""
        return os.read(self._master, CHUNK)

    def write(self, data: bytes) -> None:
        """Send to the host; what it does not take is lost, as on a line without handshake."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def close(self) -> None:
        """Pull the cable for good."""
        self._close_ends()
        if self._link is not None:
            with contextlib.suppress(OSError):
                if os.readlink(self._link) == self.path:
                    self._link.unlink()

    def _close_ends(self) -> None:
        os.close(self._slave)
        os.close(self._master)


def serve(board: PinTransport, line: FaultyTransport, terminal: PseudoTerminal,
          replugged: Callable[[str], None]) -> None:
    """Carry bytes between ``terminal`` and ``line``, which leads to ``board``, until an exception.

    A disconnect among the line's faults pulls the cable and plugs it in again; ``replugged`` is
    told the new path.
    """
    heard = time.monotonic() - IDLE_SECONDS
    while True:
        idle = not board.waiting and time.monotonic() - heard > IDLE_SECONDS
        disconnects = line.counts["disconnect"]
        try:
            if board.waiting < MOST_WAITING and (data := terminal.read(wait=idle)):
                heard = time.monotonic()
                line.write(data)
            if answer := line.read(SLICE_SECONDS):
                terminal.write(answer)
        except DeviceError:
            if line.counts["disconnect"] == disconnects:
                raise
            line.close()
            terminal.replug()
            replugged(terminal.path)
