"""A device's line offered over TCP: bytes pass unchanged, for one client at a time."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kaniwa.driver.bridge_line import ROOM, Buffer, Line
from kaniwa.driver.bridge_protocol import (
    ANSWER_SECONDS,
    NEEDED,
    READY,
    challenge,
    is_an_answer,
    is_the_answer,
    last_words,
)
from kaniwa.errors import DeviceError
from kaniwa.listening import listen

__all__ = ["Bridge"]

MOST_GUESTS = 16          # that have yet to answer the challenge, or were refused: newest ones
STILL_SECONDS = 30.0      # that a side may take no bytes: as long as the host waits for its line
LINGER_SECONDS = 2.0      # for a client to read why its connection ends
# A host without power is noticed after 30 s, also where it has yet to confirm bytes (milliseconds):
# it would keep the device from all others.
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}


@dataclass(eq=False)
class _Guest:
    """A connection without the device: it is ``asked`` for the token, or reads why it ends."""

    socket: socket.socket
    name: str
    deadline: float
    asked: bytes | None = None
    said: bytes = b""


@dataclass(eq=False)
class _Client:
    """The connection that has the device."""

    socket: socket.socket
    name: str
    line: Line
    to_device: Buffer = field(default_factory=Buffer)
    to_client: Buffer = field(default_factory=Buffer)


class Bridge:
    """Offers the line that ``connect`` opens at TCP port ``port`` of ``host``; 0 is any free port.

    The line is opened as a client comes and closed as it goes. So a device that is unplugged is
    waited for: clients that come meanwhile hear why it cannot be opened. ``token``: what a client
    has to know; without one nobody but this machine is listened to. ``tell`` hears who comes and
    goes. ``still``: seconds that client or device may take no bytes. ``patience``: seconds for the
    answer to the challenge. Raises DeviceError where the port cannot be had, or a token is missing.
    """

    def __init__(self, connect: Callable[[], Line], host: str, port: int,
                 token: bytes | None = None, *, tell: Callable[[str], None] = lambda text: None,
                 still: float = STILL_SECONDS, patience: float = ANSWER_SECONDS) -> None:
        self._connect, self._token, self._tell = connect, token, tell
        self._still, self._patience = still, patience
        self._guests: list[_Guest] = []
        self._client: _Client | None = None
        self._stopped = False
        self._listener = listen(host, port, guarded=token is not None)
        self._listener.setblocking(False)
        self._bell, self._rope = socket.socketpair()     # ends a wait from another thread
        self.place = _place(self._listener.getsockname())

    def serve(self) -> None:
        """Serve clients until ``stop``, or an exception such as KeyboardInterrupt."""
        while not self._stopped:
            self._pass_on(*self._wait())
            self._look_at_the_clock()

    def stop(self) -> None:
        """End ``serve``, from any thread."""
        self._stopped = True
        self._rope.send(b"\0")

    def close(self) -> None:
        """Tell the client, then give up all connections, the line and the port."""
        self._listener.close()
        self._end("the bridge was ended")
        for guest in self._guests:
            guest.socket.close()
        self._guests.clear()
        self._bell.close()
        self._rope.close()

    def _wait(self) -> tuple[list[Any], list[Any]]:
        """What can be read and written, at the latest when something is due."""
        reads: list[Any] = [self._bell, self._listener, *(guest.socket for guest in self._guests)]
        writes: list[Any] = []
        due = [guest.deadline for guest in self._guests]
        if (client := self._client) is not None:
            number = client.line.fileno()
            if client.to_device:
                writes += [] if number is None else [number]
                due.append(client.to_device.since + self._still)
            if client.to_client:
                writes.append(client.socket)
                due.append(client.to_client.since + self._still)
            if client.to_device.has_room:
                reads.append(client.socket)
            if client.to_client.has_room and number is not None:
                reads.append(number)
            elif client.to_client.has_room and not client.line.stands_still:
                due.append(0.0)
        left = max(0.0, min(due) - time.monotonic()) if due else None
        return select.select(reads, writes, [], left)[:2]

    def _pass_on(self, readable: list[Any], writable: list[Any]) -> None:
        if self._listener in readable:
            self._accept()
        for guest in [guest for guest in self._guests if guest.socket in readable]:
            self._hear(guest)
        if (client := self._client) is None:
            return
        try:
            number = client.line.fileno()
            if number is None or number in writable:
                client.to_device.give(client.line.offer)
            if client.to_client.has_room and (number is None or number in readable):
                client.to_client.put(client.line.read(0.0))
        except DeviceError as error:
            self._end(str(error))
            return
        if client.socket in readable:
            self._take(client)
        if client.socket in writable and client is self._client:
            try:
                client.to_client.give(client.socket.send)
            except BlockingIOError:
                pass
            except OSError:
                self._gone(client)

    def _take(self, client: _Client) -> None:
        """Take what has come from the client, as far as there is room; it may be its end."""
        try:
            while client.to_device.has_room:
                data = client.socket.recv(ROOM)
                if not data:
                    raise ConnectionResetError
                client.to_device.put(data)
        except BlockingIOError:
            pass
        except OSError:
            self._gone(client)

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        for guest in [guest for guest in self._guests if guest.deadline <= now]:
            self._guests.remove(guest)
            if guest.asked is None:
                guest.socket.close()
            else:
                self._refuse(guest.socket, guest.name, "no answer to the challenge")
        if (client := self._client) is None:
            return
        if client.to_device and client.to_device.since + self._still <= now:
            self._end(f"{client.line.name}: the line takes no data: is the other side stopped?")
        elif client.to_client and client.to_client.since + self._still <= now:
            self._end("the client takes no data")

    def _accept(self) -> None:
        try:
            connection, address = self._listener.accept()
        except OSError:      # it has gone already
            return
        name = _place(address)
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE.items():
                if hasattr(socket, option):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        if self._token is None:
            self._let_in(connection, name)
            return
        if len(self._guests) >= MOST_GUESTS:      # who says nothing keeps no one else out
            self._guests.pop(0).socket.close()
        asked = challenge()
        self._guests.append(_Guest(connection, name, time.monotonic() + self._patience, asked))
        _send(connection, asked + b"\n")

    def _hear(self, guest: _Guest) -> None:
        """Take the answer to the challenge; what comes from the refused is of no interest."""
        try:
            data = guest.socket.recv(ROOM)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and guest.asked is None:
            return
        guest.said += data
        if data and b"\n" not in guest.said and is_an_answer(guest.said):
            return
        self._guests.remove(guest)
        if not data:
            guest.socket.close()
            if guest.asked is not None:
                self._tell(f"{guest.name}: left without an answer to the challenge")
        elif not is_an_answer(guest.said):
            self._refuse(guest.socket, guest.name, NEEDED)
        else:
            assert guest.asked is not None and self._token is not None
            if is_the_answer(guest.said, guest.asked, self._token):
                self._let_in(guest.socket, guest.name)
            else:
                self._refuse(guest.socket, guest.name, "wrong token")

    def _let_in(self, connection: socket.socket, name: str) -> None:
        """Give the device to a connection, unless another one has it."""
        if self._client is not None:      # it may have left, and that not have been seen
            self._take(self._client)
        if self._client is not None:
            self._refuse(connection, name, f"in use by {self._client.name}")
            return
        try:
            line = self._connect()
        except DeviceError as error:
            self._refuse(connection, name, str(error))
            return
        self._client = _Client(connection, name, line)
        self._tell(f"{name}: connected")
        if self._token is not None:
            _send(connection, READY + b"\n")

    def _refuse(self, connection: socket.socket, name: str, reason: str) -> None:
        self._tell(f"{name}: refused: {reason}")
        self._part(connection, name, reason)

    def _end(self, reason: str) -> None:
        """End the client's connection, if there is one, and say why."""
        if (client := self._client) is not None:
            self._give_up(client, reason)
            with contextlib.suppress(OSError):
                client.to_client.give(client.socket.send)
            self._part(client.socket, client.name, reason)

    def _gone(self, client: _Client) -> None:
        self._give_up(client, "it has left")
        client.socket.close()

    def _give_up(self, client: _Client, reason: str) -> None:
        self._client = None
        client.line.close()
        self._tell(f"{client.name}: ended after {client.to_device.passed:,} bytes to the device "
                   f"and {client.to_client.passed:,} from it: {reason}")

    def _part(self, connection: socket.socket, name: str, reason: str) -> None:
        """Say why, and wait for the other side to close: else it may lose what it has not read."""
        _send(connection, last_words(reason))
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        self._guests.append(_Guest(connection, name, time.monotonic() + LINGER_SECONDS))


def _send(connection: socket.socket, data: bytes) -> None:
    """Send ``data`` to a connection that has room for it; one that has none is past hearing."""
    with contextlib.suppress(OSError):
        connection.send(data)


def _place(address: tuple[Any, ...]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
