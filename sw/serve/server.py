"""A server of models on devices, from the open ports to the last answer."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from kaniwa.driver.devices import Device
from kaniwa.errors import DeviceError, Error
from kaniwa.extras import needed
from kaniwa.listening import listen
from kaniwa.pool.pool import Pool
from kaniwa.program.program import Program
from kaniwa.serve.app import App
from kaniwa.serve.connection import timed_connection
from kaniwa.serve.guard import Guard
from kaniwa.serve.limits import Limits
from kaniwa.serve.metrics import Metrics
from kaniwa.serve.model import Model
from kaniwa.serve.queue import Queue

if TYPE_CHECKING:
    from kaniwa.serve.rpc.service import Service

__all__ = ["Server"]

CONNECTIONS = 512     # beside those of requests in the queue; others get 503
POLL = 0.1            # seconds in which a second stop is noticed; uvicorn's own is the same
BACKLOG = 128         # connections that the kernel keeps until they are taken

logger = logging.getLogger(__name__)


class Server:
    """``models``, by the names that clients use, on ``devices``, at ``host`` and ``port``.

    Port 0 stands for a free one; ``url`` tells it. From here on clients can connect; they are
    answered once ``run`` is. A ``token`` is asked of every request; only a host that is this
    machine alone does without. Raises Error for a token that is no word, DeviceError as ``listen``
    and as ``Pool``, which gets ``devices`` and ``progress``.
    """

    def __init__(self, models: Mapping[str, Program], devices: Sequence[str | Device], *,
                 host: str = "127.0.0.1", port: int = 0, token: str | None = None,
                 limits: Limits | None = None,
                 progress: Callable[[str], None] | None = None) -> None:
        limits = limits or Limits()
        if token is not None and not (token.isascii() and token.isprintable() and token
                                      and " " not in token):
            raise Error("a token is one word of printable ASCII characters")
        self._socket = listen(host, port, guarded=token is not None, backlog=BACKLOG)
        try:
            self.pool = Pool(devices, list(models.values()), progress=progress)
        except BaseException:
            self._socket.close()
            raise
        self.queue = Queue(self.pool, limits.queue)
        self._metrics = metrics = Metrics(self.queue)
        self._models = [Model(name, program, number)
                        for number, (name, program) in enumerate(models.items())]
        app = App(self._models, self.queue, metrics, limits)
        self._host, self._token, self._limits = host, token, limits
        self._seconds = limits.seconds
        self._end: float | None = None
        self._http = _Http(uvicorn.Config(
            Guard(app.routes, metrics, token), http=timed_connection(limits.seconds), ws="none",
            loop="asyncio", lifespan="off", interface="asgi3", proxy_headers=False,
            server_header=False, access_log=False, log_config=None, log_level=logging.ERROR,
            limit_concurrency=CONNECTIONS + limits.queue,
            timeout_graceful_shutdown=math.ceil(limits.seconds)))
        self.url = f"http://{_shown(host)}:{self._socket.getsockname()[1]}"

    def offer_grpc(self, port: int = 0) -> str:
        """Offer the protocol over gRPC, too, from ``run`` on; returns its ``HOST:PORT``.

        Port 0 stands for a free one. Raises DeviceError as ``listen``, and UnsupportedError without
        grpcio. ``run`` raises DeviceError where another program takes the port until then.
        """
        with needed("gRPC", "serve"):
            from kaniwa.serve.rpc.service import Service

        # gRPC takes no socket, so this one finds the port, and says what is wrong with it.
        with listen(self._host, port, guarded=self._token is not None) as found:
            address = f"{_shown(self._host)}:{found.getsockname()[1]}"
        self._http.rpc = Service(self._models, self.queue, self._metrics, self._limits, address,
                                 self._token)
        return address

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Answer requests until ``stop``; then close the devices. Runs once.

        ``ready`` is called as soon as clients can connect, over gRPC too.
        """
        self._http.ready = ready
        try:
            self._http.run(sockets=[self._socket])
        except OSError as error:
            raise DeviceError(str(error)) from None
        finally:
            self._socket.close()
            left = 0.0 if self._end is None else self._end - time.monotonic()
            self.pool.close(max(left, 0.0))
            logger.info("%s has ended", self.url)

    def stop(self) -> None:
        """End ``run``, from any thread or from a signal's handler, once begun requests are done.

        That takes the limit of time at most. A second call ends it without them.
        """
        if self._end is None:
            self._end = time.monotonic() + self._seconds
        else:
            self._end = time.monotonic()
            self._http.force_exit = True
        self._http.should_exit = True


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Http(uvicorn.Server):
    """uvicorn without handlers of signals, which whoever runs the server has, and with ``rpc``
    beside it in the same loop."""

    rpc: Service | None = None
    ready: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.rpc is not None:
            await self.rpc.start()
        await super().startup(sockets)
        if self.ready is not None:
            self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.rpc is None:
            return await super().shutdown(sockets)
        ending = asyncio.ensure_future(self.rpc.stop(self.config.timeout_graceful_shutdown or 0))
        await super().shutdown(sockets)
        while not (ending.done() or self.force_exit):
            await asyncio.sleep(POLL)
        await self.rpc.stop(0)
        await ending

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
