"""Cycle model: a look at the state of the units, with times from now on."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

from kaniwa.timing import NEVER

__all__ = ["LONG_AGO", "Locals", "Look", "values_of"]

# What is so long ago is over: whatever is still to come is later by more than any constant that
# the model adds to a time, the longest of which is a requantization of 64 cycles.
LONG_AGO = 512


@dataclass(frozen=True)
class Locals:
    """Locals of a generator: ``times``, and ``places``, which are the same in each row.

    ``others`` are constant within an instruction, follow from those, are compared as relations
    between units, or are dead where the generator waits. ``told``: those of ``times`` that are told
    later on.
    """

    times: tuple[str, ...]
    places: tuple[str, ...]
    others: tuple[str, ...]
    told: tuple[str, ...] = ()


def values_of(generator: Generator[Any, Any, Any]) -> dict[str, Any]:
    """The locals of a generator that has not ended."""
    frame = generator.gi_frame if isinstance(generator, GeneratorType) else None
    return frame.f_locals if frame else {}


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

    def frame(self, generator: Generator[Any, Any, Any] | None, kinds: Locals,
              ) -> tuple[Any, ...]:
        """Where the generator waits, and the locals that say how it goes on."""
        if not isinstance(generator, GeneratorType) or generator.gi_frame is None:
            return ()
        frame = generator.gi_frame
        values, inner = frame.f_locals, generator.gi_yieldfrom
        for name in kinds.told:
            self.tell(values.get(name))
        within = inner.gi_frame if isinstance(inner, GeneratorType) else None
        return (frame.f_lasti, within.f_lasti if within else -1,
                self.all([values.get(name) for name in kinds.times]),
                *[values.get(name) for name in kinds.places])
