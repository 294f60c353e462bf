"""Jobs dealt out to members of a pool, each to the one that will be free first."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kaniwa.errors import DeviceError
from kaniwa.pool.member import Member

__all__ = ["Deal"]

AHEAD = 2       # jobs for each member that are taken from the caller before they can be begun
Work = TypeVar("Work")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job(Generic[Work, Result]):
    work: Work
    result: Result | None = None
    error: BaseException | None = None
    done: bool = False
    failed: list[DeviceError] = field(default_factory=list)


class Deal(Generic[Work, Result]):
    """Does jobs on ``members``, a thread for each; ``do`` does one of them.

    A member whose device fails with DeviceError is lost: it takes no more jobs, and another does
    the one that it had. A job that two devices failed with is the fault of the job: its error is
    that of the second one, which stays, unless it is the last. Other errors are the job's own.

    Members of simulated time would be dealt jobs by the speed of their simulation. So such a
    member takes a job only where its clock is not ahead of another's by more than a job.
    """

    def __init__(self, members: Sequence[Member], do: Callable[[Member, Work], Result]) -> None:
        self._members = members
        self._do = do
        self._queue: deque[_Job[Work, Result]] = deque()
        self._busy: set[Member] = set()
        self._closing = False
        self._changed = threading.Condition()

    def run(self, work: Iterable[Work]) -> Iterator[Result]:
        """The results in the order of ``work``; raises the error of the first job that has one.

        Raises DeviceError where all devices are lost. Jobs that were begun end before it returns.
        """
        threads = [threading.Thread(target=self._serve, args=(member,), name=f"kaniwa-{n}")
                   for n, member in enumerate(self._members) if member.lost is None]
        if not threads:
            raise self._all_lost()
        given: deque[_Job[Work, Result]] = deque()
        most = (1 + AHEAD) * len(self._members)
        try:
            for thread in threads:
                thread.start()
            for item in work:
                job: _Job[Work, Result] = _Job(item)
                with self._changed:
                    self._queue.append(job)
                    self._changed.notify_all()
                given.append(job)
                if len(given) == most:
                    yield self._result(given.popleft())
            while given:
                yield self._result(given.popleft())
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            for thread in threads:
                thread.join()

    def _result(self, job: _Job[Work, Result]) -> Result:
        with self._changed:
            while not job.done:
                if all(member.lost is not None for member in self._members):
                    raise self._all_lost()
                self._changed.wait()
        if job.error is not None:
            raise job.error
        assert job.result is not None
        return job.result

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
                self._busy.add(member)
            self._try(member, job)
            with self._changed:
                self._busy.discard(member)
                self._changed.notify_all()
                if member.lost is not None:
                    return

    def _try(self, member: Member, job: _Job[Work, Result]) -> None:
        """Do ``job``; where the device fails, give the job back to the queue's front."""
        result, error = None, None
        try:
            result = self._do(member, job.work)
        except BaseException as raised:
            error = raised
        with self._changed:
            others = any(m.lost is None for m in self._members if m is not member)
            if isinstance(error, DeviceError) and (not job.failed or not others):
                job.failed.append(error)
                member.lost = error
                logger.warning("%s is lost: %s", member.name, error)
                self._queue.appendleft(job)
                return
            job.result, job.error, job.done = result, error, True

    def _in_turn(self, member: Member) -> bool:
        """Whether no other simulated clock is behind by more than a job."""
        return not member.simulated or all(
            member.seconds <= other.seconds + (self._job_seconds(other, member)
                                               if other in self._busy else 0.0)
            for other in self._members if other.simulated and other.lost is None)

    def _job_seconds(self, *members: Member) -> float:
        """Expected time of a job: the mean of the first of ``members`` that has done some."""
        return next((m.seconds / m.inferences for m in members if m.inferences), float("inf"))
