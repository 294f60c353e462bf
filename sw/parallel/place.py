"""The side of a worker: work that came to this process, and what is open for it."""

from __future__ import annotations

import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from socket import gethostname
from typing import Any

from kaniwa.errors import DeviceError
from kaniwa.parallel.failure import Failure
from kaniwa.parallel.versions import difference, versions
from kaniwa.parallel.workers import Work

__all__ = ["Sent", "Share", "do_share", "end", "leave_interrupts", "scratch_folder"]

KEPT = 8     # works whose commands have not ended them: they may have been killed


@dataclass(frozen=True)
class Sent:
    """A ``Work`` on its way: a ``token`` of its own, pickled, and the versions that it needs."""

    token: str
    work: bytes
    versions: dict[str, str]


@dataclass(frozen=True)
class Share:
    """Results of items sent together, or of those before the first that failed, with its error.

    ``where`` names the worker, where the error is not of an item but of what comes before.
    """

    results: list[Any]
    failure: Failure | None = None
    where: str = ""


class _Place:
    """A work in this process. What it opens is lent to one thread at a time; ``lent`` counts them.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.ended = False
        self.lent = 0
        self._idle: list[Any] = []
        self._used: list[Any] = []

    def borrow(self) -> Any:
        """What the work opens; opened anew where all are lent."""
        with _LOCK:
            opened = self._idle.pop() if self._idle else None
        opened = self.work.opened() if opened is None else opened
        with _LOCK:
            self._used.append(opened)
        return opened

    def give_back(self, opened: Any) -> None:
        """Take back what was lent; it is closed where the work has ended meanwhile."""
        with _LOCK:
            self._used = [other for other in self._used if other is not opened]
            self._idle.append(opened)
        if self.ended:
            self.close()

    def end(self) -> None:
        """Close what is open. What is lent is told to stop, and closed when it is given back."""
        with _LOCK:
            self.ended = True
            used = list(self._used)
        for opened in used:
            if hasattr(opened, "stop"):
                opened.stop()
        self.close()

    def close(self) -> None:
        """Close what is open and not lent."""
        with _LOCK:
            idle, self._idle = self._idle, []
        for opened in idle:
            if hasattr(opened, "close"):
                opened.close()


_LOCK = threading.RLock()
_PLACES: dict[str, _Place] = {}
_ENDED: deque[str] = deque(maxlen=1000)     # tokens of works that ended: a task may be late


def leave_interrupts() -> None:
    """Leave Ctrl-C to the command, which then ends this process. What this one starts ends itself.
    """
    signal.signal(signal.SIGINT, lambda *_: None)     # SIG_IGN would go on to what is started


def scratch_folder() -> str | None:
    """Where a worker's temporary files belong: Dask removes them though the worker is killed.

    None where this is no worker of Dask.
    """
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        folder: str = get_worker().local_directory
    except ValueError:
        return None
    return folder


def do_share(sent: Sent, items: Sequence[Any]) -> Share:
    """Do ``items`` one after the other, up to the first that fails or the end of the work."""
    here = f"the worker on {gethostname()}"
    if (other := difference(sent.versions, versions(), here)) is not None:
        return Share([], Failure(DeviceError, other, ""), "other versions")
    try:
        place = _taken(sent)
    except Exception as error:
        return Share([], Failure.of(error), here)
    if place is None:
        return Share([])
    try:
        return _do(place, items, here)
    finally:
        with _LOCK:
            place.lent -= 1


def _do(place: _Place, items: Sequence[Any], here: str) -> Share:
    try:
        opened = place.borrow()
    except Exception as error:
        return Share([], Failure.of(error), here)
    results: list[Any] = []
    try:
        for item in items:
            if place.ended:
                break
            results.append(place.work.do(opened, item))
    except Exception as error:
        return Share(results, Failure.of(error))
    finally:
        place.give_back(opened)
    return Share(results)


def end(token: str) -> None:
    """Close what is open for a work; items of it that are being done are the last."""
    with _LOCK:
        _ENDED.append(token)
        place = _PLACES.pop(token, None)
    if place is not None:
        place.end()


def _taken(sent: Sent) -> _Place | None:
    """The work, unpickled once, and lent; None where it has ended.

    A work with a device closes those that others left open: they may be the same.
    """
    with _LOCK:
        if sent.token in _ENDED:
            return None
        place = _PLACES.get(sent.token)
        if place is None:
            place = _Place(pickle.loads(sent.work))
            idle = [token for token, other in _PLACES.items() if not other.lent]
            for token in idle:
                if token not in idle[-KEPT:] or (place.work.device and _PLACES[token].work.device):
                    _PLACES.pop(token).close()
            _PLACES[sent.token] = place
        place.lent += 1
        return place
