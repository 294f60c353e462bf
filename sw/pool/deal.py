"""Jobs dealt out to members of a pool, each to the one that will be free first."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kaniwa.errors import DeviceError
from kaniwa.pool.member import Member
from kaniwa.pool.pace import Paces

__all__ = ["Deal"]

AHEAD = 2       # jobs for each member that are taken from the caller before they can be begun
KEPT = 64       # results for each member that may wait for an earlier one
Work = TypeVar("Work")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job(Generic[Work, Result]):
    work: Work
    future: Future[Result] = field(default_factory=Future)
    failed: list[DeviceError] = field(default_factory=list)


class Deal(Generic[Work, Result]):
    """Does jobs on ``members``, a thread for each; ``do`` does one of them.

    A member whose device fails with DeviceError is lost: it takes no more jobs, and another does
    the one that it had. A job that two devices failed with is the fault of the job: its error is
    that of the second one, which stays, unless it is the last. Other errors are the job's own.

    Members of simulated time would be dealt jobs by the speed of their simulation. So such a
    member takes a job only where its clock is not ahead of another's by more than a job. A slow
    one of the others leaves jobs alone that it would end behind all others (``Paces``), unless
    more are to come.
    """

    def __init__(self, members: Sequence[Member], do: Callable[[Member, Work], Result]) -> None:
        self._members = members
        self._do = do
        self._queue: deque[_Job[Work, Result]] = deque()
        self._busy: dict[Member, float] = {}     # their clocks when their jobs began
        self._paces = Paces(members)
        self._more = False      # jobs are to come
        self._closing = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def run(self, work: Iterable[Work]) -> Iterator[Result]:
        """The results in the order of ``work``; raises the error of the first job that has one.

        Raises DeviceError where all devices are lost. Jobs that were begun end before it returns.
        """
        if self._all_are_lost():
            raise self._all_lost()
        given: deque[Future[Result]] = deque()
        self._more = True
        try:
            self.start()
            for item in work:
                given.append(self.submit(item))
                while not self._has_room(given):
                    yield given.popleft().result()
            with self._changed:
                self._more = False
                self._changed.notify_all()
            while given:
                yield given.popleft().result()
        finally:
            self.close()

    def _has_room(self, given: deque[Future[Result]]) -> bool:
        """Whether another job may be taken, or the first result is to be given before.

        A job in front that takes long does not keep the other members from those behind it.
        """
        members = len(self._members)
        if len(given) < (1 + AHEAD) * members:
            return True
        if len(given) >= KEPT * members:
            return False
        with self._changed:
            self._changed.wait_for(lambda: given[0].done() or sum(
                not future.done() for future in given) <= members)
        return not given[0].done()

    def start(self) -> None:
        """Begin a thread for each member that is not lost."""
        # Daemons: a device that never answers must not keep the process from its end.
        self._threads = [
            threading.Thread(target=self._serve, args=(member,), name=f"kaniwa-{n}", daemon=True)
            for n, member in enumerate(self._members) if member.lost is None]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work) -> Future[Result]:
        """The result of a job, once a member has done it; jobs are begun in the order given.

        A future that is cancelled before its job is begun takes the job out of the queue. It has
        DeviceError where all devices are lost, and is cancelled after ``close``.
        """
        job: _Job[Work, Result] = _Job(work)
        job.future.add_done_callback(lambda future: self._forget(job))
        with self._changed:
            closing = self._closing
            if not closing and not self._all_are_lost():
                self._queue.append(job)
                self._changed.notify_all()
                return job.future
        if closing:
            job.future.cancel()
        else:
            job.future.set_exception(self._all_lost())
        return job.future

    def close(self, limit: float | None = None) -> bool:
        """Cancel jobs that wait, and wait for those that were begun, at most ``limit`` seconds.

        True where all ended. A second call does nothing more.
        """
        with self._changed:
            self._closing = True
            waiting = list(self._queue)
            self._changed.notify_all()
        for job in waiting:
            job.future.cancel()
        end = None if limit is None else time.monotonic() + limit
        for thread in self._threads:
            if thread.ident is not None:     # one may not have been begun
                thread.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _forget(self, job: _Job[Work, Result]) -> None:
        if job.future.cancelled():
            with self._changed:
                if job in self._queue:
                    self._queue.remove(job)

    def _all_are_lost(self) -> bool:
        return all(member.lost is not None for member in self._members)

    def _all_lost(self) -> DeviceError:
        last = next(member for member in reversed(self._members) if member.lost is not None)
        return DeviceError(f"all {len(self._members)} devices of the pool are lost; the last one, "
                           f"{last.name}: {last.lost}")

    def _serve(self, member: Member) -> None:
        while True:
            with self._changed:
                while not self._closing and not (self._queue and self._in_turn(member)):
                    self._changed.wait()
                if self._closing:
                    return
                job = self._queue.popleft()
                self._busy[member] = member.seconds
                self._paces.begin(member)
            if job.failed or job.future.set_running_or_notify_cancel():
                self._try(member, job)
            with self._changed:
                del self._busy[member]
                self._paces.end(member)
                self._changed.notify_all()
                if member.lost is not None:
                    return

    def _try(self, member: Member, job: _Job[Work, Result]) -> None:
        """Do ``job``; where the device fails, give the job back to the queue's front."""
        try:
            result = self._do(member, job.work)
        except BaseException as error:
            if isinstance(error, DeviceError) and self._lose(member, job, error):
                return
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _lose(self, member: Member, job: _Job[Work, Result], error: DeviceError) -> bool:
        """Take ``member`` for lost, unless the fault is the job's; with the last, all jobs fail."""
        with self._changed:
            others = any(m.lost is None for m in self._members if m is not member)
            if job.failed and others:
                return False
            job.failed.append(error)
            member.lost = error
            self._queue.appendleft(job)
            left = list(self._queue) if not others else []
            if left:
                self._queue.clear()
        logger.warning("%s is lost: %s", member.name, error)
        for each in left:
            if each.failed or each.future.set_running_or_notify_cancel():
                each.future.set_exception(self._all_lost())
        return True

    def _in_turn(self, member: Member) -> bool:
        """Whether no other simulated clock is behind by more than a job, or the job pays."""
        if not member.simulated:
            return self._more or self._paces.pays(member, len(self._queue))
        return all(member.seconds <= self._will_be_at(other, member) for other in self._members
                   if other.simulated and other.lost is None)

    def _will_be_at(self, other: Member, member: Member) -> float:
        """The clock of another one behind the job that it has, of which it may have taken some."""
        if other not in self._busy:
            return other.seconds
        return max(other.seconds, self._busy[other] + self._job_seconds(other, member))

    def _job_seconds(self, *members: Member) -> float:
        """Expected time of a job: the mean of the first of ``members`` that has done some."""
        return next((m.seconds / m.inferences for m in members if m.inferences), float("inf"))
