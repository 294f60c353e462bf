"""A server of models on devices, from the open port to the last answer."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import uvicorn

from kaniwa.driver.devices import Device
from kaniwa.errors import Error
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

__all__ = ["Server"]

CONNECTIONS = 512     # beside those of requests in the queue; others get 503
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
        metrics = Metrics(self.queue)
        app = App([Model(name, program, number)
                   for number, (name, program) in enumerate(models.items())],
                  self.queue, metrics, limits)
        self._seconds = limits.seconds
        self._end: float | None = None
        self._http = _Http(uvicorn.Config(
            Guard(app.routes, metrics, token), http=timed_connection(limits.seconds), ws="none",
            loop="asyncio", lifespan="off", interface="asgi3", proxy_headers=False,
            server_header=False, access_log=False, log_config=None, log_level=logging.ERROR,
            limit_concurrency=CONNECTIONS + limits.queue,
            timeout_graceful_shutdown=math.ceil(limits.seconds)))
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"

    def run(self) -> None:
        """Answer requests until ``stop``; then close the devices. Runs once."""
        try:
            self._http.run(sockets=[self._socket])
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


class _Http(uvicorn.Server):
    """uvicorn without handlers of signals: whoever runs the server has them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
