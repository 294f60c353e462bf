"""Cycle model: a look at the state of the units, with times from now on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kaniwa.timing import NEVER

__all__ = ["LONG_AGO", "Frame", "Kinds", "Look"]

# What is so long ago is over: whatever is still to come is later by more than any constant that
# the model adds to a time, the longest of which is a requantization of 64 cycles.
LONG_AGO: Final = 512


class Frame:
    """What a generator of the model keeps where it waits: ``at`` says at which of its yields."""

    def __init__(self) -> None:
        self.at = 0


@dataclass(frozen=True)
class Kinds:
    """Attributes of a frame: ``times``, and ``places``, which are the same in each row.

    ``others`` (attributes, or locals of the generator) are constant within an instruction, follow
    from those, are compared as relations between units, or are dead where the generator waits.
    ``told``: those of ``times`` that are told later on.
    """

    times: tuple[str, ...]
    places: tuple[str, ...]
    others: tuple[str, ...]
    told: tuple[str, ...] = ()


class Look:
    """State as of the cycle ``now``, made comparable: what is long ago is all the same.

    ``past``: the times to be told that are long ago.
    """

    def __init__(self, now: int) -> None:
        self.now, self._old = now, now - LONG_AGO
        self.past: list[int] = []

    def at(self, time: int | None) -> int | None:
        """The time from now on."""
        if time is None or time >= NEVER:
            return time
        return max(time - self.now, -LONG_AGO)

    def all(self, times: Iterable[int | None]) -> tuple[int | None, ...]:
        """Each of the times from now on."""
        return tuple([self.at(time) for time in times])

    def recent(self, times: Sequence[int], count: int = NEVER) -> tuple[int, ...]:
        """Those of the last ``count`` of ordered times that are not long ago."""
        old, found = self._old, []
        times = times[-count:] if 0 < count < len(times) else times if count > 0 else ()
        for time in reversed(times):
            if time <= old:
                break
            found.append(time - self.now)
        return tuple(found)

    def tell(self, time: int | None) -> None:
        """The time is told later on."""
        if time is not None and time <= self._old:
            self.past.append(time)

    def old(self, time: int) -> bool:
        """True for what is long ago."""
        return time <= self._old

    def frame(self, frame: Frame, kinds: Kinds) -> tuple[Any, ...]:
        """Where the generator waits, and the attributes that say how it goes on."""
        for name in kinds.told:
            self.tell(getattr(frame, name))
        return (frame.at, self.all([getattr(frame, name) for name in kinds.times]),
                *[getattr(frame, name) for name in kinds.places])
