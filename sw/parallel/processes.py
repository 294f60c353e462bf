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
    """``count`` processes, which begin with each ``map`` and end with it."""

    def __init__(self, count: int) -> None:
        self.name, self.count = f"{count} processes", count

    def _begin(self, work: Work, sent: Sent) -> Callable[[Sequence[Any]], Any]:
        self._before = set(multiprocessing.active_children())
        self._pool = pool = ProcessPoolExecutor(
            self.count, mp_context=multiprocessing.get_context("spawn"),
            initializer=leave_interrupts)
        return lambda items: pool.submit(do_share, sent, items)

    def _end(self, sent: Sent, given: Iterable[Given]) -> None:
        if any(given):     # left half-way: what is being done is wanted no more
            for process in set(multiprocessing.active_children()) - self._before:
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def _lost(self, error: Exception, items: str) -> Exception:
        return DeviceError(f"{items}: the process that did it ended: {error}")
