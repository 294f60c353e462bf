"""A link that the devices of several cores share: one at a time has it, for a turn."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from kaniwa.driver.link import WINDOW, Link
from kaniwa.errors import DeviceError

if TYPE_CHECKING:
    from kaniwa.driver.frames import Request
    from kaniwa.driver.transports import Transport

__all__ = ["SharedLine", "Turns"]

TURN_REQUESTS = WINDOW   # of a device in one turn, while others share the line
TURN_SECONDS = 0.001     # of a pause in one turn, on the line's clock


class Turns:
    """A lock that is given in the order in which it was asked for: nobody waits for ever."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()   # the first one has it

    def __enter__(self) -> None:
        mine = object()
        with self._changed:
            self._waiting.append(mine)
            try:
                while self._waiting[0] is not mine:
                    self._changed.wait()
            except BaseException:
                self._waiting.remove(mine)
                self._changed.notify_all()
                raise

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._waiting.popleft()
            self._changed.notify_all()


class SharedLine:
    """The link over what ``connect`` opens, for one device or for those of several cores.

    The first ``join`` opens it, and the last ``leave`` closes it. An error of the line ends it for
    all: each device hears of it in its next call, for its core's memory may be lost. The next
    ``join`` opens it anew. A user is any object that stands for a device. ``pace``: as of ``Link``.
    Safe to use from several threads.
    """

    def __init__(self, connect: Callable[[], Transport], pace: float | None = None) -> None:
        self._connect, self._pace = connect, pace
        self._turns = Turns()
        self._link: Link | None = None
        self._users: set[object] = set()
        self._lost = ""

    def join(self, user: object) -> Link:
        """The open link, which ``user`` has from now on. Raises DeviceError."""
        with self._turns:
            if self._link is None:
                link = Link(self._connect(), self._pace)
                try:
                    link.open()
                except BaseException:
                    link.close()
                    raise
                self._link, self._users = link, set()
            self._users.add(user)
            return self._link

    def leave(self, user: object) -> None:
        """Say that ``user`` has the link no more."""
        with self._turns:
            self._users.discard(user)
            if not self._users:
                self._end("the line was closed")

    def check(self, link: Link) -> None:
        """Raise DeviceError where ``link`` was lost: it says why."""
        if self._link is not link:
            raise DeviceError(self._lost)

    def exchange(self, link: Link, requests: Sequence[Request],
                 report: Callable[[int], None] | None = None) -> list[bytes | None]:
        """As ``Link.exchange``; with other users on the line, a part of it in each turn."""
        answers: list[bytes | None] = []
        while len(answers) < len(requests):
            with self._turn(link, BaseException):
                begun = len(answers)
                size = TURN_REQUESTS if len(self._users) > 1 else len(requests)

                def tell(done: int, begun: int = begun) -> None:
                    if report is not None:
                        report(begun + done)

                answers += link.exchange(requests[begun:begun + size], tell)
        return answers

    def pause(self, link: Link, seconds: float) -> None:
        """Let time pass on the line, which others may use meanwhile."""
        end = link.now() + seconds
        while (left := end - link.now()) > 0:
            with self._turn(link, DeviceError):     # else nothing is in flight
                link.pause(min(left, TURN_SECONDS) if len(self._users) > 1 else left)

    @contextlib.contextmanager
    def _turn(self, link: Link, fatal: type[BaseException]) -> Iterator[None]:
        """Have ``link`` alone; a ``fatal`` error of its use ends it."""
        with self._turns:
            self.check(link)
            try:
                yield
            except fatal as error:
                self._end(str(error) or "the line was given up")
                raise

    def _end(self, why: str) -> None:
        if self._link is not None:
            self._link.close()
            self._link, self._lost = None, why
