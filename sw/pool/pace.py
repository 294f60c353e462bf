"""How long a pool's members take for a job, and whether a slow one is worth waiting for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kaniwa.pool.member import Member

__all__ = ["Paces"]


@dataclass
class _Pace:
    jobs: int = 0
    seconds: float = 0.0
    began: float | None = None      # of the job in work

    @property
    def mean(self) -> float:
        return self.seconds / self.jobs


class Paces:
    """The time of the host that each of ``members`` took for its jobs so far.

    Members of simulated time have a clock of their own, and no pace. ``clock`` gives seconds.
    """

    def __init__(self, members: Sequence[Member],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._paces = {member: _Pace() for member in members if not member.simulated}
        self._clock = clock

    def begin(self, member: Member) -> None:
        """``member`` begins a job."""
        if member in self._paces:
            self._paces[member].began = self._clock()

    def end(self, member: Member) -> None:
        """``member`` has done the job that it began."""
        pace = self._paces.get(member)
        if pace is not None and pace.began is not None:
            pace.jobs += 1
            pace.seconds += self._clock() - pace.began
            pace.began = None

    def pays(self, member: Member, waiting: int) -> bool:
        """Whether ``member`` would end a job before the others had done all that is ``waiting``.

        True, too, where a pace is not known yet, or no other member has one. Each job is taken to
        go to the one that ends it first.
        """
        pace = self._paces.get(member)
        others = [other for of, other in self._paces.items() if of is not member and not of.lost]
        if pace is None or not others or not pace.jobs or not all(one.jobs for one in others):
            return True
        now = self._clock()
        free = [0.0 if one.began is None else max(0.0, one.began + one.mean - now)
                for one in others]
        for _ in range(waiting):
            first = min(range(len(others)), key=lambda n: free[n] + others[n].mean)
            free[first] += others[first].mean
            if free[first] >= pace.mean:
                return True
        return False
