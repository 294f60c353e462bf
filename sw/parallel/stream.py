"""Items given to other processes as these get free, and their results taken in order."""

from __future__ import annotations

import pickle
import time
import uuid
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kaniwa.errors import InputError
from kaniwa.parallel.place import Sent, Share
from kaniwa.parallel.versions import versions
from kaniwa.parallel.workers import Item, Work, Workers

__all__ = ["Given", "Processes"]

AHEAD = 2       # shares for each process that wait behind the one that it does
ROUNDS = 4      # shares for each process, at least, so that all end at about the same time
MOST = 200      # shares for each process that may wait for the first of them to be done
POLL = 0.02     # seconds between two looks at what is done
RESULT_SECONDS = 30.0     # for a result that is there to come here


@dataclass(frozen=True)
class Given:
    """Items that were given to a process together, and their ``Share`` to come."""

    items: Sequence[Item]
    future: Any


class Processes(Workers):
    """Workers in other processes. A subclass says how a share gets there, and how it is lost."""

    @abstractmethod
    def _begin(self, work: Work, sent: Sent) -> Callable[[Sequence[Any]], Any]:
        """Take ``work`` on; gives a function from the items of a share to their future.

        A future has ``result``, which takes seconds and raises TimeoutError, and ``done``.
        """

    @abstractmethod
    def _end(self, sent: Sent, given: Iterable[Given]) -> None:
        """Take the work off the workers; shares still ``given`` are wanted no more."""

    @abstractmethod
    def _lost(self, error: Exception, items: str) -> Exception:
        """The error to raise for one of a future that is not of an item."""

    def _look(self) -> None:
        """Raise DeviceError where nothing can be awaited any more."""

    def _map(self, work: Work, items: Iterator[Item], total: int, tell: Callable[[int], None]
             ) -> Generator[Any, None, None]:
        size = work.at_once
        if total:
            size = min(size, max(1, total // (ROUNDS * self.count)))
        sent = Sent(uuid.uuid4().hex, _pickled(work), versions())
        given: deque[Given] = deque()
        submit = self._begin(work, sent)
        try:
            done = 0
            while True:
                running = sum(not each.future.done() for each in given)
                for share in self._more(items, size, running, len(given)):
                    given.append(Given(share, submit([item for _, item in share])))
                if not given:
                    break
                taken = self._taken(work, given[0])
                tell(done + sum(len(each.items) for each in given if each.future.done()))
                if taken is None:
                    continue
                first = given.popleft().items
                assert taken.failure or len(taken.results) == len(first)
                for result in taken.results:
                    done += 1
                    yield result
                if taken.failure is not None:
                    raise taken.failure.error(taken.where or work.name(*first[len(taken.results)]))
        finally:
            self._end(sent, given)

    def _more(self, items: Iterator[Item], size: int, running: int, given: int
              ) -> Iterator[list[Item]]:
        """Shares to give beside those ``running`` and, of those ``given``, done in wait of others.
        """
        count = self.count
        while running < (1 + AHEAD) * count and given < MOST * count and (
                share := list(islice(items, size))):
            yield share
            running, given = running + 1, given + 1

    def _taken(self, work: Work, first: Given) -> Share | None:
        """The share that was given, or None where it takes longer than a moment."""
        if not first.future.done():
            self._look()
            time.sleep(POLL)     # Dask's wait of a short time may fail where it ends with the task
            return None
        try:
            share: Share = first.future.result(RESULT_SECONDS)
        except TimeoutError:     # its worker was lost with it, so another does it again
            self._look()
            return None
        except Exception as error:
            names = [work.name(*first.items[0]), work.name(*first.items[-1])]
            raise self._lost(error, " to ".join(dict.fromkeys(names))) from None
        return share


def _pickled(work: Work) -> bytes:
    try:
        return pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(f"work for other processes: {error}; give functions of modules, or "
                         "partials of these") from None
