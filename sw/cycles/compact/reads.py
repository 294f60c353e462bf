"""Cycle model of the compact core's one channel of memory, for the units that read by it."""

from __future__ import annotations

from typing import Any

from kaniwa.cycles.compact.memory import CompactMemories
from kaniwa.cycles.compact.post import CompactPost
from kaniwa.cycles.compact.units import AGAIN, CompactLoad, CompactWeights
from kaniwa.cycles.log import Log
from kaniwa.cycles.look import Look
from kaniwa.timing import NEVER

__all__ = ["CompactReads"]


class CompactReads:
    """Operands, input rows and weights on their way through the one channel of memory.

    The array asks only for what it waits for, or up to a cycle up to which it has told all. So no
    read is served that comes behind something which the array has not told.
    A byte that ``post`` writes comes before a read that was chosen and that memory has not seen.
    """

    def __init__(self, load: CompactLoad, weights: CompactWeights, memories: CompactMemories,
                 post: CompactPost, log: Log | None) -> None:
        self.load, self.weights, self._post, self._memories = load, weights, post, memories
        self._free = 0       # from when on the next read is chosen
        self._log = log

    def until(self, ready: list[int], index: int) -> int:
        """``ready[index]``, of a unit; what can never come is there at once."""
        while len(ready) <= index:
            if not self._step(NEVER) and len(ready) <= index:
                ready.append(ready[-1] if ready else 0)
        return ready[index]

    def taken(self, block: int) -> int:
        """When the last result of a block goes into the requantizer."""
        self._post.advance(0)
        while len(self._post.taken) <= block:
            self._step(NEVER)
        return self._post.taken[block]

    def settle(self, cycle: int) -> None:
        """Go on up to before ``cycle``, from which on the array has its next step."""
        while self._step(cycle):
            pass
        self._post.forget(cycle)

    def end(self) -> int:
        """From when on all is read and written."""
        self._post.advance(NEVER)
        while self._step(NEVER):
            self._post.advance(NEVER)
        return max(max(self.load.ended, self.weights.ended), self._post.ended)

    def state(self, look: Look, top: int, word: int) -> tuple[Any, ...]:
        """How the units go on, as they say it."""
        return (look.at(self._free), self.load.state(look, top), self.weights.state(look, word))

    def move(self, cycles: int) -> None:
        """The channel is free so many cycles later."""
        self._free += cycles

    def _step(self, before: int) -> bool:
        """Serve the next read, operands first, then the load unit's, or what outside memory writes
        before; False if there is none that is chosen ``before``."""
        load, weights, post = self.load, self.weights, self._post
        if load.waits:
            load.go_on()
        if weights.waits:
            weights.go_on()
        asks = min(load.ask, weights.ask)
        cycle = max(self._free, min(asks, post.ask))
        # The array waits for what comes of a read at ``cycle`` or later, so it has no results now.
        post.advance(min(cycle, before) + post.arrival)
        cycle = max(self._free, min(asks, post.ask))
        if post.unwritten < NEVER and post.unwritten <= min(cycle, before) + 1:
            post.written(self._memories.write(post.unwritten, post.result()))
            return True
        if cycle >= before:
            return False
        seen = post.seen(cycle)
        if post.ask <= cycle:
            self._free = self._memories.read(seen, post.operand())
            post.reply(self._free)
        elif load.ask <= cycle:
            self._free = response = self._memories.read(seen, load.place)
            if self._log:
                self._tell("load", load.ask, cycle)
            load.answer(response)
        else:
            self._free = response = self._memories.read(seen, weights.place)
            if self._log:
                self._tell("weights", weights.ask, cycle)
            weights.answer(response)
        return True

    def _tell(self, unit: str, ask: int, cycle: int) -> None:
        """Log the read of a unit, which is chosen in ``cycle``."""
        assert self._log is not None
        track = self._log.tracks[unit]
        track.wait(ask, cycle, 0, "memory")
        track.work(cycle, self._free + AGAIN, 0)
