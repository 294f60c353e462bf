"""The side of a worker: work that came to this process, and what is open for it."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from socket import gethostname
from typing import Any

from kaniwa.errors import DeviceError
from kaniwa.parallel.failure import Failure
from kaniwa.parallel.versions import difference, versions
from kaniwa.parallel.workers import Work

__all__ = ["Sent", "Share", "do_share", "end"]

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
    """A work in this process. What it opens is lent to one thread at a time."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.ended = False
        self.lent = 0
        self._idle: list[Any] = []

    def borrow(self) -> Any:
        """What the work opens; opened anew where all are lent."""
        with _LOCK:
            if self._idle:
                self.lent += 1
                return self._idle.pop()
        opened = self.work.opened()
        with _LOCK:
            self.lent += 1
        return opened

    def give_back(self, opened: Any) -> None:
        """Take back what was lent; it is closed where the work has ended meanwhile."""
        with _LOCK:
            self.lent -= 1
            self._idle.append(opened)
        if self.ended:
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


def do_share(sent: Sent, items: Sequence[Any]) -> Share:
    """Do ``items`` one after the other, up to the first that fails or the end of the work."""
    here = f"the worker on {gethostname()}"
    if (other := difference(sent.versions, versions(), here)) is not None:
        return Share([], Failure(DeviceError, other, ""), "other versions")
    try:
        place = _place(sent)
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
        place = _PLACES.pop(token, None)
        if place is None:
            return
        place.ended = True
    place.close()


def _place(sent: Sent) -> _Place:
    """The work, unpickled once. A work with a device closes those of others, which may be the same.
    """
    with _LOCK:
        place = _PLACES.get(sent.token)
        if place is None:
            work: Work = pickle.loads(sent.work)
            idle = [token for token, other in _PLACES.items() if not other.lent]
            kept = idle[-KEPT:]
            for token in idle:
                if token not in kept or (work.device and _PLACES[token].work.device):
                    end(token)
            place = _PLACES[sent.token] = _Place(work)
        return place
