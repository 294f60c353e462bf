"""Some processes of this machine, with nothing to install."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from kaniwa.errors import DeviceError
from kaniwa.parallel.place import Sent, do_share, leave_interrupts
from kaniwa.parallel.stream import Given, Processes
from kaniwa.parallel.workers import Work

__all__ = ["LocalProcesses"]


class LocalProcesses(Processes):
    """``count`` processes, which begin with the first ``map`` and serve the next ones, too.

    They end with ``close``, and with a ``map`` that is left half-way.
    """

    def __init__(self, count: int) -> None:
        self.name, self.count = f"{count} processes", count
        self._pool: ProcessPoolExecutor | None = None

    def close(self) -> None:
        """End the processes; none is left."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _begin(self, work: Work, sent: Sent) -> Callable[[Sequence[Any]], Any]:
        if self._pool is None:
            self._before = set(multiprocessing.active_children())
            self._pool = ProcessPoolExecutor(
                self.count, mp_context=multiprocessing.get_context("spawn"),
                initializer=leave_interrupts)
        pool = self._pool
        return lambda items: pool.submit(do_share, sent, items)

    def _end(self, sent: Sent, given: Iterable[Given]) -> None:
        if any(given):     # what is being done is wanted no more
            for process in set(multiprocessing.active_children()) - self._before:
                process.terminate()
            self.close()

    def _lost(self, error: Exception, items: str) -> Exception:
        return DeviceError(f"{items}: the process that did it ended: {error}")
