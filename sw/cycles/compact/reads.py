"""Cycle model of the compact core's one channel of memory, and of the units that read by it."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.compact.memory import CompactMemories
from kaniwa.cycles.compact.post import CompactPost
from kaniwa.cycles.log import Log
from kaniwa.cycles.readers.streams import BlockShape
from kaniwa.isa.formats import Buffer
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["AGAIN", "CompactReads"]

AGAIN = 1            # from a response to the next read of the same unit; another's may come with it
_Unit = Generator[int | None, int, None]


class CompactReads:
    """Operands, input rows and weights on their way through the one channel of memory.

    ``rows``, ``words``: first cycles of steps that may use them. The array tells ``freed``, cycles
    and bytes of the line buffer that it is past, and ``used``, cycles from which on there is room
    for one more ring word (only of weights that stream). It asks only for what it waits for. So
    no read is served that comes behind something which the array has not told.
    A byte that ``post`` writes comes before a read that was chosen and that memory has not seen.
    """

    def __init__(self, config: AcceleratorConfig, v: Values,
                 regions: tuple[Sequence[BlockShape], Sequence[BlockShape]], begin: int,
                 memories: CompactMemories, post: CompactPost, log: Log | None) -> None:
        self.rows: list[int] = []
        self.words: list[int] = []
        self.freed: list[tuple[int, int]] = []
        self.used: list[int] = []
        self._config, self._v, self._regions, self._post = config, v, regions, post
        self._memories = memories
        self._free = 0       # from when on the next read is chosen
        self._ended = 0      # when all units have what they read
        self._tracks = log and (log.tracks["load"], log.tracks["weights"])
        self._places = [0, 0]   # address of each unit's next read
        self._units = (self._load(begin), self._weights(begin))
        self._asks = [next(unit, NEVER) for unit in self._units]

    def until(self, ready: list[int], index: int) -> int:
        """``ready[index]``; what can never come is there at once."""
        while len(ready) <= index:
            if not self._step() and len(ready) <= index:
                ready.append(ready[-1] if ready else 0)
        return ready[index]

    def taken(self, block: int) -> int:
        """When the last result of a block goes into the requantizer."""
        self._post.advance(0)
        while len(self._post.taken) <= block:
            self._step()
        return self._post.taken[block]

    def end(self) -> int:
        """From when on all is read and written."""
        self._post.advance(NEVER)
        while self._step():
            self._post.advance(NEVER)
        return max(self._ended, self._post.ended)

    def _step(self) -> bool:
        """Serve the next read, operands first, then the load unit's, or what outside memory writes
        before; False if there is none."""
        post = self._post
        for number, ask in enumerate(self._asks):
            if ask is None:
                self._asks[number] = next(self._units[number], NEVER)
        times = [NEVER if ask is None else ask for ask in self._asks]
        cycle = max(self._free, min(*times, post.ask))
        # The array waits for what comes of a read at ``cycle`` or later, so it has no results now.
        post.advance(cycle + post.arrival)
        cycle = max(self._free, min(*times, post.ask))
        if post.unwritten < NEVER and post.unwritten <= cycle + 1:
            post.written(self._memories.write(post.unwritten, next(post.results)))
            return True
        if cycle >= NEVER:
            return False
        seen = self._seen(cycle)
        if post.ask <= cycle:
            self._free = self._memories.read(seen, next(post.operands))
            post.reply(self._free)
        else:
            self._serve(0 if times[0] <= cycle else 1, cycle, seen)
        return True

    def _seen(self, cycle: int) -> int:
        """The cycle in which memory sees a read that is chosen in ``cycle``: later by the bytes
        that are written then."""
        writes, seen = self._post.writes, cycle + 1
        while writes and writes[0][0] <= seen:
            seen = max(seen, writes.popleft()[1] + 1)
        return seen

    def _serve(self, number: int, cycle: int, seen: int) -> None:
        """The read of a unit, which is chosen in ``cycle``."""
        self._free = response = self._memories.read(seen, self._places[number])
        self._places[number] += self._config.read_bytes
        if self._tracks:
            self._tracks[number].wait(self._asks[number] or 0, cycle, 0, "memory")
            self._tracks[number].work(cycle, response + AGAIN, 0)
        try:
            self._asks[number] = self._units[number].send(response)
        except StopIteration:
            self._asks[number] = NEVER

    def _load(self, ask: int) -> _Unit:
        v, width = self._v, self._config.read_bytes
        room, events = self._config.line_bytes, 0
        for row in range(v["ifm_rows"]):
            while (row + 1) * v["line_pitch"] > room:
                while len(self.freed) <= events:
                    yield None
                cycle, freed = self.freed[events]
                room, events = self._config.line_bytes + freed, events + 1
                ask = max(ask, cycle)
            first = v["ifm_address"] + row * v["ifm_pitch"]
            self._places[0] = first - first % width
            for _ in range(first // width, (first + v["ifm_row_bytes"] - 1) // width + 1):
                ask = AGAIN + (yield ask)
            self.rows.append(ask)
        self._ended = max(self._ended, ask)

    def _weights(self, ask: int) -> _Unit:
        """``ask``: when the next word may be read; ``ready``: when the next byte is looked at."""
        v, ready = self._v, 0
        streams = [(v["parameter_address"], self._regions[0]),
                   *([(v["weight_address"], self._regions[1])] * v["weight_repeat"])]
        for self._places[1], blocks in streams:
            for shape in blocks:
                ready = max(ready, AGAIN + (yield ask)) + 8
                ask, ready = ready, ready + 1
                if shape.kind == Buffer.WEIGHTS:
                    for item in range(shape.items):
                        ready = max(ready, AGAIN + (yield ask))
                        place = len(self.words) - self._config.ring_words
                        if place >= 0 and v["weights_stream"]:
                            while len(self.used) <= place:
                                yield None
                            ready = max(ready, self.used[place])
                        ready += 1
                        ask = ready
                        if (item + 1) % shape.per_word == 0:
                            self.words.append(ready)
                elif shape.items:
                    ask, ready = yield from self._bytes(shape, ask, ready)
            ask += 1    # from one pass over a stream to the next
        self._ended = max(self._ended, ask)

    def _bytes(self, shape: BlockShape, ask: int,
               ready: int) -> Generator[int | None, int, tuple[int, int]]:
        """A block that is taken byte by byte, and one cycle an item."""
        place = 0
        for item in range(shape.items):
            for _ in range(shape.steps[item % len(shape.steps)]):
                if not place:
                    ready = max(ready, AGAIN + (yield ask))
                ready += 1
                place = (place + 1) % self._config.read_bytes
                ask = ready
            ready += 1
        return (ready if place else ask), ready
