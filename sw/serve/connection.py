"""A client's connection with limits of time: for a request to come, and for an answer to go."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["timed_connection"]

logger = logging.getLogger(__name__)


def timed_connection(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP connection, which it loses where its client is slower than ``seconds``.

    uvicorn itself limits the time between two requests alone.
    """

    class TimedConnection(H11Protocol):

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._coming = _Timer(self, "its request did not come in", seconds)
            self._going = _Timer(self, "its client did not take the answer", seconds)

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            super().connection_made(transport)
            self._coming.start()
            # The kernel keeps the last bytes of an answer, which nothing here waits for.
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                transport.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(seconds * 1000))

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
                self._coming.start()
            else:
                self._coming.stop()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._going.start()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._going.stop()

        def connection_lost(self, exc: Exception | None) -> None:
            self._coming.stop()
            super().connection_lost(exc)     # which resumes writing
            self._going.stop()

    return TimedConnection


class _Timer:
    """Breaks ``connection`` off ``seconds`` after the first ``start`` that no ``stop`` follows."""

    def __init__(self, connection: H11Protocol, what: str, seconds: float) -> None:
        self._connection, self._what, self._seconds = connection, what, seconds
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._handle is None:
            self._handle = self._connection.loop.call_later(self._seconds, self._break_off)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _break_off(self) -> None:
        logger.info("%s is cut: %s within %g s", self._connection.client, self._what,
                    self._seconds)
        self._connection.transport.abort()
