"""Inferences of all requests in one queue of a bounded length, shared out by a pool."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

from kaniwa.driver.session import Outputs
from kaniwa.errors import DeviceError, InputError
from kaniwa.pool.pool import Pool
from kaniwa.serve.limits import Refused
from kaniwa.serve.messages import Request
from kaniwa.serve.model import Model

__all__ = ["Queue"]

RETRY_AFTER = {"retry-after": "1"}     # seconds


class Queue:
    """At most ``size`` inferences wait for the devices of ``pool`` or run on them."""

    def __init__(self, pool: Pool, size: int) -> None:
        self.pool = pool
        self.size = size
        self._held = 0
        self._lock = threading.Lock()     # futures end in the devices' threads

    @property
    def held(self) -> int:
        """Inferences that wait or run, also those whose client is gone."""
        return self._held

    def check_ready(self) -> None:
        """Raise Refused (503) with the reason where all devices are lost."""
        stats = self.pool.stats
        if all(member.lost for member in stats):
            raise Refused(503, "; ".join(f"{m.name} is lost: {m.lost}" for m in stats))

    async def run(self, request: Request, model: Model) -> list[Outputs]:
        """The outputs of each inference of ``request``.

        Raises Refused: 400 for arrays that do not fit and for more inferences than the queue can
        ever hold, 503 while it is full and where all devices are lost, 500 where an inference
        failed on two devices. If it is cancelled, inferences that were not begun are left out.
        """
        futures = self._submit(request, model)
        try:
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
        except InputError as error:
            raise Refused(400, str(error)) from None
        except DeviceError as error:
            self.check_ready()
            raise Refused(500, str(error)) from None
        finally:
            for future in futures:
                future.cancel()

    def _submit(self, request: Request, model: Model) -> list[Future[Outputs]]:
        count = len(request.inferences)
        if count > self.size:
            raise Refused(400, f"model '{model.name}': expected at most {self.size} inferences in "
                               f"a request, found {count}")
        with self._lock:
            if self._held + count > self.size:
                raise Refused(503, f"the queue is full: it has {self._held} of {self.size} "
                                   f"inferences, and {count} more came", RETRY_AFTER)
            self._held += count
        futures = []
        for arrays in request.inferences:
            future = self.pool.submit(arrays, request.as_float, model.number)
            future.add_done_callback(self._ended)
            futures.append(future)
        return futures

    def _ended(self, future: Future[Any]) -> None:
        with self._lock:
            self._held -= 1
