"""What a command gives its items to, and the plain way: one after the other, in this process."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kaniwa.parallel.failure import Failure
from kaniwa.stage import Stage

__all__ = ["Item", "OneProcess", "Progress", "Work", "Workers"]

Progress = Callable[[str], None]
Item = tuple[int, Any]     # with its place


@dataclass(frozen=True)
class Work:
    """What is done with each item.

    ``function`` is called with an item, or with what ``open`` gave and an item. ``open`` is called
    once in a process; what it gives is closed at the end where it has a method ``close``. A method
    ``stop`` is called, from another thread, where the work ends while an item is being done, which
    is wanted no more then. Both are functions of modules, or partials of such: they are sent once
    to each process, with models and data that partials hold. ``name`` makes an item's name for
    errors, from its place and itself. ``unit`` is the word for items, in progress. Up to
    ``at_once`` items are sent together, which serves small ones.

    ``device`` is a device that ``open`` opens, by its name, or empty: workers of a cluster that
    have none are not asked, and none is opened twice at a time.
    """

    function: Callable[..., Any]
    open: Callable[[], Any] | None = None
    name: Callable[[int, Any], str] = "item {}".format
    unit: str = "items"
    at_once: int = 1
    device: str = ""

    def opened(self) -> Any:
        """What ``open`` gives; None without one."""
        return None if self.open is None else self.open()

    def do(self, opened: Any, item: Any) -> Any:
        """The result of an item."""
        return self.function(item) if self.open is None else self.function(opened, item)


class Workers(ABC):
    """Processes that do items of work: ``count`` is how many, ``name`` what they are.

    ``dashboard`` is the address of a page that shows what they do, where there is one.
    """

    name: str
    count: int
    dashboard: str | None = None

    def map(self, work: Callable[[Any], Any] | Work, items: Iterable[Any],
            progress: Progress | None = None) -> Generator[Any, None, None]:
        """The result of each item, in the order of the items.

        ``work`` is a function of an item, or a ``Work``. ``progress`` hears how many are done.
        Items are taken as workers get free, so they may be endless. An error of an item is raised
        in its turn, with its name, and ends the work; none is tried again. A ``kaniwa.Error``
        keeps its class, others become RuntimeError.
        """
        work = work if isinstance(work, Work) else Work(work)
        total = len(items) if isinstance(items, Sequence) else 0

        def tell(done: int) -> None:
            if progress is not None:
                text = f"{done} of {total} {work.unit}" if total else f"{done} {work.unit}"
                progress(Stage(text, done, total, work.unit, short=""))

        return self._map(work, enumerate(items), total, tell)

    @abstractmethod
    def _map(self, work: Work, items: Iterator[Item], total: int, tell: Callable[[int], None]
             ) -> Generator[Any, None, None]:
        """As ``map``; ``items`` have their places, ``tell`` takes the number of those done.

        ``total``: how many items there are; 0: not known.
        """


class OneProcess(Workers):
    """This process, which does one item after the other."""

    name, count = "this process", 1

    def _map(self, work: Work, items: Iterator[Item], total: int, tell: Callable[[int], None]
             ) -> Generator[Any, None, None]:
        with contextlib.ExitStack() as stack:
            opened = work.opened()
            if hasattr(opened, "close"):
                stack.callback(opened.close)
            for place, item in items:
                try:
                    result = work.do(opened, item)
                except Exception as error:
                    raise Failure.of(error).error(work.name(place, item)) from error
                tell(place + 1)
                yield result
