"""Cycle model, weight path: fetch and decoder up to weight ring and parameter buffer."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.log import CODE_BITS
from kaniwa.cycles.look import Locals, Look, values_of
from kaniwa.cycles.readers.streams import BlockShape, Read, region_shapes
from kaniwa.isa.formats import Buffer
from kaniwa.program.instruction import Values

__all__ = ["WeightPath"]

WEIGHTS, RECORDS, TABLES = Buffer

FETCH_DEPTH = 16     # words requested and not passed on to the decoder

FETCH = Locals(("before", "granted", "free", "begun", "ready", "asked"),
               ("word", "index", "number", "address"),
               ("self", "events", "width", "track", "v", "first", "again", "room"),
               ("ready", "asked"))
DECODE = Locals(("may_shift", "emitted"),
                ("word", "owner", "item", "position", "inside", "first_word", "output", "in_use"),
                ("self", "events", "width", "shifted", "shape", "passed", "room", "kind", "step",
                 "end", "arrival", "last_word", "gone", "inner"))


class WeightPath:
    """Fetches the streams of the instructions, and decodes them block by block."""

    def __init__(self, config: AcceleratorConfig, instructions: Sequence[Values], events: Events,
                 read: Read | None) -> None:
        self._config, self._instructions, self._events = config, instructions, events
        self._read = read
        self._responses: list[int] = []
        self._passed: list[int] = []    # cycles in which words leave the queue of the fetch,
        self._shifted: list[int] = []   # and the fetch
        self.address = 0
        # Items in the first stage of the decoder, which has two places: since when, for which
        # output, whether it needs room there, whether it completes a word. When the last two did.
        self._windows: deque[tuple[int, int, bool, bool]] = deque()
        self._taken_before = self._taken = -1
        self._items = 0                  # that have left it
        # Of the outputs, for weights and for records and tables: what waits in their registers
        # (since when, whether it completes a word), when they were last left, words written and
        # released.
        self._waiting: list[tuple[int, bool] | None] = [None, None]
        self._accepted, self._written, self._room = [0, 0], [0, 0], [0, 0]
        self._released, self._next_release = [0, 0], [0, 0]
        self._releases = (events.ring_releases, events.parameter_releases)
        self._capacity = (config.ring_words, config.parameter_words)
        self._decoder = self._decode()
        self.reader = self._fetch()

    def respond(self, cycle: int) -> None:
        self._responses.append(cycle)
        self.poke()

    def poke(self) -> None:
        """Decode as far as is known by now."""
        self._settle(WEIGHTS)
        self._settle(RECORDS)
        self._take()
        next(self._decoder)

    def heard(self) -> int:
        """How far the path is, and what others told it."""
        events = self._events
        return (len(self._responses) + len(self._passed) + len(self._shifted) + self._items
                + self._released[0] + self._released[1] + len(events.offered["weights"])
                + len(events.ring_releases) + len(events.parameter_releases)
                + len(events.post_done))

    @property
    def progress(self) -> tuple[int, int, int]:
        """Words requested, come, and decoded."""
        return (values_of(self.reader).get("word", 0), len(self._responses),
                len(self._shifted))

    def state(self, look: Look) -> tuple[Any, ...]:
        """What the path does next hangs on, where it stands still."""
        return (look.frame(self.reader, FETCH), look.frame(self._decoder, DECODE), self.progress,
                [look.recent(times) for times in (
                    self._responses, self._passed, self._shifted, self._events.ring_ready,
                    self._events.parameters_ready)],
                [(look.at(window[0]), window[1:]) for window in self._windows],
                look.all((self._taken_before, self._taken, *self._accepted, *self._room)),
                [item and (look.at(item[0]), item[1]) for item in self._waiting],
                self._written, self._released,
                [(len(releases), look.recent([cycle for cycle, _ in releases[-4:]]))
                 for releases in self._releases])

    def _pass(self, word: int) -> int | None:
        """When the word leaves the queue, if that is known."""
        passed, shifted = self._passed, self._shifted
        while len(passed) <= word:
            index = len(passed)
            if index >= len(self._responses) or len(shifted) < index:
                return None
            cycle = self._responses[index] + 1
            if index:
                cycle = max(cycle, passed[-1] + 1, shifted[-1])
            passed.append(cycle)
        return passed[word]

    def _fetch(self) -> Reader:
        events, width = self._events, self._config.read_bytes
        before, granted = -1, -1   # grants of the last two requests
        free, word = 0, 0
        track = events.log and events.log.tracks["weights"]
        for index, v in enumerate(self._instructions):
            first, again = v["parameter_bytes"] // width, v["weight_bytes"] // width
            events.opens("weights", free)
            while len(events.offered["weights"]) <= index:
                self.poke()
                yield None
            begun = max(events.offered["weights"][index], free)
            free = begun + 1
            if not first + again:
                while len(self._shifted) < word:
                    self.poke()
                    yield None
                free = max(free, self._shifted[-1] + 2 if word else 0) + 1
            ready = begun + (1 if first else 2)
            address = v["parameter_address"]
            for number in range(first + again * v["weight_repeat"]):
                if number >= first and (number - first) % again == 0:
                    address = v["weight_address"]
                asked = ready
                if word >= FETCH_DEPTH:
                    while (room := self._pass(word - FETCH_DEPTH)) is None:
                        self.poke()
                        if self._pass(word - FETCH_DEPTH) is None:
                            yield None
                    ready = max(ready, room + 1)
                self.address = address
                ready = max(ready, before + 1)
                before, granted = granted, (yield max(ready, granted) + 1)
                if track:
                    track.tell(asked, ready, index, "room")
                    track.tell(ready + 1, granted, index, "memory")
                    track.told += (granted, granted + 1, index << CODE_BITS)
                ready = free = ready + 1
                address += width
                word += 1
        while True:
            self.poke()
            yield None

    def _settle(self, output: int) -> bool:
        """The item in an output register leaves it, if that is known; whether none is left."""
        item = self._waiting[output]
        if item is None:
            return True
        came, completes = item
        releases, capacity = self._releases[output], self._capacity[output]
        while self._released[output] <= self._written[output] - capacity:
            if self._next_release[output] == len(releases):
                return False
            room, self._released[output] = releases[self._next_release[output]]
            self._next_release[output] += 1
            self._room[output] = room + 1
        self._waiting[output] = None
        self._leaves(output, max(came + 1, self._room[output]), completes)
        return True

    def _leaves(self, output: int, cycle: int, completes: bool) -> None:
        """An item is accepted by the buffer that it is for, and may complete a word of it."""
        self._accepted[output] = cycle
        if completes:
            self._written[output] += 1
            if output == WEIGHTS:
                self._events.ring_ready.append(cycle + 3)
            else:
                self._events.parameters_ready.append(cycle + 2)
                self._events.news = True

    def _take(self) -> int | None:
        """Items in the first stage go on to their outputs, as far as that is known.

        Returns from when on there is a place for another one, None if that is not known.
        """
        while self._windows:
            emitted, output, takes_room, completes = self._windows[0]
            if not self._settle(output):
                break
            self._windows.popleft()
            self._items += 1
            self._taken_before = self._taken
            self._taken = max(emitted + 1, self._taken + 1, self._accepted[output])
            if takes_room:
                self._waiting[output] = self._taken, completes
                self._settle(output)
            else:
                self._leaves(output, self._taken + 1, completes)
        if len(self._windows) == 2:
            return None
        return (self._taken if self._windows else self._taken_before) + 1

    def _decode(self) -> Generator[None, None, None]:
        """Take items from the words; yields where more must be known first.

        ``may_shift``: from when on the next word may come.
        """
        events, width = self._events, self._config.read_bytes
        shifted = self._shifted
        word = 0                 # the next to come
        may_shift = emitted = 0
        for owner, shape in self._blocks():
            while (passed := self._pass(word)) is None:
                yield
            shifted.append(max(may_shift, passed + 1))
            word += 1
            while (room := self._take()) is None:
                yield
            emitted = max(shifted[-1] + 1, emitted + 1, room)   # the header
            may_shift = emitted
            if not shape.items:
                continue
            kind, step = shape.kind, shape.step
            in_use = kind == TABLES and owner >= 2
            if kind == TABLES:
                emitted += 2
            position, inside, first_word = 0, 0, 0   # inside: words of the payload that have come
            output = WEIGHTS if kind == WEIGHTS else RECORDS   # tables leave with the records
            for item in range(shape.items):
                end = position + step
                if step:
                    first_word = position // width
                    if inside <= first_word:
                        while (passed := self._pass(word)) is None:
                            yield
                        arrival = max(may_shift, passed + 1)
                        shifted.append(arrival)
                        word += 1
                        inside += 1
                        if arrival > emitted:
                            emitted = arrival
                    last_word = (end - 1) // width
                    if last_word > first_word:
                        while (passed := self._pass(word)) is None:
                            yield
                        if passed > emitted:
                            emitted = passed
                if in_use:     # until the instruction with the table's place has left the post unit
                    while len(events.post_done) <= owner - 2:
                        yield
                    emitted, in_use = max(emitted, events.post_done[owner - 2] + 1), False
                while (room := self._take()) is None:
                    yield
                emitted = max(emitted + 1, room)
                if step:
                    gone = end // width - first_word
                    if item == shape.items - 1 and end % width:
                        gone += 1
                    if gone:
                        may_shift = emitted
                        if gone == 2:
                            shifted.append(emitted)
                            word += 1
                            inside += 1
                            may_shift += 1
                    position = end
                inner = item % shape.per_word
                self._windows.append((emitted, output, kind != TABLES and inner == shape.parts - 1,
                                      kind != TABLES and inner == shape.per_word - 1))
                self._take()
        while True:
            yield

    def _blocks(self) -> Generator[tuple[int, BlockShape], None, None]:
        for index, v in enumerate(self._instructions):
            parameters, weights = region_shapes(self._config, v, self._read)
            for shape in parameters:
                yield index, shape
            for _ in range(v["weight_repeat"] if weights else 0):
                for shape in weights:
                    yield index, shape
