"""Cycle model, weight path: fetch and decoder up to weight ring and parameter buffer."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.look import Frame, Kinds, Look
from kaniwa.cycles.memory import ReadPath
from kaniwa.cycles.readers.streams import BlockShape, Read, region_shapes
from kaniwa.isa.formats import Buffer
from kaniwa.isa.step_lists import ring_words
from kaniwa.program.instruction import Values

__all__ = ["WeightPath"]

WEIGHTS: Final = 0
RECORDS: Final = 1
TABLES: Final = 2
CODEBOOK: Final = 3
STEPS: Final = 4
LISTS: Final = 2    # the buffer of lists; those of weights and records have the outputs' numbers
assert tuple(Buffer) == (WEIGHTS, RECORDS, TABLES, CODEBOOK, STEPS)

# An item: its output; its buffer; whether it needs room there; whether it completes a word of it;
# and whether it is its block's first.
_Item = tuple[int, int, bool, bool, bool]

FETCH_DEPTH: Final = 16     # words requested and not passed on to the decoder

FETCH = Kinds(("before", "granted", "free", "begun", "ready", "asked"),
              ("word", "index", "number", "address"),
              ("self", "own", "events", "width", "track", "v", "first", "again", "room"),
              ("ready", "asked"))
DECODE = Kinds(("emitted",),
               ("front", "owner", "item", "position", "needed", "output", "in_use"),
               ("self", "own", "events", "width", "shape", "came", "room", "kind", "is_buffered",
                "steps", "step", "end", "gone", "inner", "buffer"))


class _Fetch(Frame):
    """``word``: requests so far, ``number`` of them the instruction's; ``asked``: since when the
    next one waits for room."""

    def __init__(self) -> None:
        super().__init__()
        self.before = self.granted = -1   # grants of the last two requests
        self.free = self.begun = self.ready = self.asked = 0
        self.word = self.index = self.number = self.address = 0


class _Decode(Frame):
    """``front``: the first word that no item has ended; ``emitted``: when the last item was.

    Of a block that is for ``output`` of the instruction ``owner``: the next ``item``, its
    ``position`` in the word ``front``, the word that must be there for it (``needed``).
    """

    def __init__(self) -> None:
        super().__init__()
        self.emitted = 0
        self.front = self.owner = self.item = self.position = self.needed = self.output = 0
        self.in_use = False


class WeightPath(ReadPath):
    """Fetches the streams of the instructions, and decodes them block by block."""

    def __init__(self, config: AcceleratorConfig, instructions: Sequence[Values], events: Events,
                 read: Read | None) -> None:
        self._config, self._instructions, self._events = config, instructions, events
        self._read = read
        self._responses: list[int] = []
        self._passed: list[int] = []    # cycles in which words leave the queue of the fetch,
        self._shifted: list[int] = []   # and the fetch, for one of the words that are held,
        self._ended: list[int] = []     # and end with an item or as a header
        self.address = 0
        # Items in the first stage of the decoder, which has two places, since when; when the last
        # two left it.
        self._windows: deque[tuple[int, _Item]] = deque()
        self._taken_before = self._taken = -1
        self._items = 0                  # that have left it
        # Of the outputs, for weights and for records, tables and lists: what waits in their
        # registers, since when, and when they were last left.
        self._waiting: list[tuple[int, _Item] | None] = [None, None]
        self._accepted = [0, 0]
        # Of the buffers behind them: words written and released, and since when there is room.
        self._written, self._room = [0, 0, 0], [0, 0, 0]
        self._released, self._next_release = [0, 0, 0], [0, 0, 0]
        self._releases = (events.ring_releases, events.parameter_releases, events.list_releases)
        self._capacity = (config.ring_words, config.parameter_words, ring_words(config))
        self._fetching, self._decoding = _Fetch(), _Decode()
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
        self._hold()
        self._decoder.send(None)

    def heard(self) -> int:
        """How far the path is, and what others told it."""
        events = self._events
        return (len(self._responses) + len(self._passed) + len(self._shifted) + len(self._ended)
                + self._items
                + sum(self._released) + len(events.offered["weights"])
                + len(events.ring_releases) + len(events.parameter_releases)
                + len(events.list_releases)
                + len(events.post_done))

    @property
    def progress(self) -> tuple[int, int, int]:
        """Words requested, come, and decoded."""
        return (self._fetching.word, len(self._responses),
                len(self._shifted))

    @property
    def end(self) -> int:
        """When the last item was accepted."""
        return max(self._accepted)

    def state(self, look: Look) -> tuple[Any, ...]:
        """What the path does next hangs on, where it stands still."""
        return (look.frame(self._fetching, FETCH), look.frame(self._decoding, DECODE),
                self.progress,
                [look.recent(times) for times in (
                    self._responses, self._passed, self._shifted, self._ended,
                    self._events.ring_ready, self._events.parameters_ready)],
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
                cycle = max(max(cycle, passed[-1] + 1), shifted[-1])
            passed.append(cycle)
        return passed[word]

    def _fetch(self) -> Reader:
        own = self._fetching
        events, width = self._events, self._config.read_bytes
        track = events.log and events.log.tracks["weights"]
        for own.index, v in enumerate(self._instructions):
            first, again = v["parameter_bytes"] // width, v["weight_bytes"] // width
            events.opens("weights", own.free)
            while len(events.offered["weights"]) <= own.index:
                self.poke()
                own.at = 1
                yield None
            own.begun = max(events.offered["weights"][own.index], own.free)
            own.free = own.begun + 1
            if not first + again:
                while len(self._shifted) < own.word:
                    self.poke()
                    own.at = 2
                    yield None
                own.free = max(own.free, self._shifted[-1] + 2 if own.word else 0) + 1
            own.ready = own.begun + (1 if first else 2)
            own.address = v["parameter_address"]
            for own.number in range(first + again * v["weight_repeat"]):
                if own.number >= first and (own.number - first) % again == 0:
                    own.address = v["weight_address"]
                own.asked = own.ready
                if own.word >= FETCH_DEPTH:
                    while (room := self._pass(own.word - FETCH_DEPTH)) is None:
                        self.poke()
                        if self._pass(own.word - FETCH_DEPTH) is None:
                            own.at = 3
                            yield None
                    own.ready = max(own.ready, room + 1)
                self.address = own.address
                own.ready = max(own.ready, own.before + 1)
                own.at = 4
                own.before, own.granted = own.granted, (yield max(own.ready, own.granted) + 1)
                if track:
                    track.wait(own.asked, own.ready, own.index, "room")
                    track.wait(own.ready + 1, own.granted, own.index, "memory")
                    track.work(own.granted, own.granted + 1, own.index)
                own.ready = own.free = own.ready + 1
                own.address += width
                own.word += 1
        while True:
            self.poke()
            own.at = 5
            yield None

    def _settle(self, output: int) -> bool:
        """The item in an output register leaves it, if that is known; whether none is left."""
        item = self._waiting[output]
        if item is None:
            return True
        came, waiting = item
        _, buffer, _, _, _ = waiting
        releases, capacity = self._releases[buffer], self._capacity[buffer]
        while self._released[buffer] <= self._written[buffer] - capacity:
            if self._next_release[buffer] == len(releases):
                return False
            room, self._released[buffer] = releases[self._next_release[buffer]]
            self._next_release[buffer] += 1
            self._room[buffer] = room + 1
        self._waiting[output] = None
        self._leaves(waiting, max(came + 1, self._room[buffer]))
        return True

    def _leaves(self, item: _Item, cycle: int) -> None:
        """An item is accepted by the buffer that it is for, and may complete a word of it."""
        output, buffer, _, completes, begins = item
        self._accepted[output] = cycle
        if completes:
            self._written[buffer] += 1
            if buffer == WEIGHTS:
                self._events.ring_ready.append(cycle + 3)
            elif buffer == RECORDS:
                self._events.parameters_ready.append(cycle + 2)
                self._events.news = True
            elif begins:
                self._events.list_ready.append(cycle + 2)

    def _take(self) -> int | None:
        """Items in the first stage go on to their outputs, as far as that is known.

        Returns from when on there is a place for another one, None if that is not known.
        """
        while self._windows:
            emitted, item = self._windows[0]
            output, _, takes_room, _, _ = item
            if not self._settle(output):
                break
            self._windows.popleft()
            self._items += 1
            self._taken_before = self._taken
            self._taken = max(max(emitted, self._taken) + 1, self._accepted[output])
            if takes_room:
                self._waiting[output] = self._taken, item
                self._settle(output)
            else:
                self._leaves(item, self._taken + 1)
        if len(self._windows) == 2:
            return None
        return (self._taken if self._windows else self._taken_before) + 1

    def _decode(self) -> Generator[None, None, None]:
        """Take items from the words; yields where more must be known first."""
        own = self._decoding
        events, width = self._events, self._config.read_bytes
        for own.owner, shape in self._blocks():
            if shape.begins:
                while (came := self._came(own.front)) is None:
                    own.at = 1
                    yield
                own.emitted = max(own.emitted, came)
                while (room := self._take()) is None:
                    own.at = 2
                    yield
                own.emitted = max(own.emitted + 1, room)   # the header
                self._end_words(1)
                own.position = 0
            if not shape.items:
                continue
            own.emitted += shape.fill
            kind, steps = int(shape.kind), shape.steps
            own.in_use = kind == TABLES and own.owner >= 2
            if kind == TABLES:
                own.emitted += 2
            # Tables and lists leave with the records. A codebook is written when no chunk of
            # weights waits.
            own.output = WEIGHTS if kind in (WEIGHTS, CODEBOOK) else RECORDS
            is_buffered = kind in (WEIGHTS, RECORDS, STEPS)
            buffer = LISTS if kind == STEPS else own.output
            for own.item in range(shape.items):
                step = steps[own.item % len(steps)]
                end = own.position + step
                if end:     # of an item without bytes, within a word, which may be a block's last
                    own.needed = own.front
                    while own.needed <= own.front + (end - 1) // width:
                        while (came := self._came(own.needed)) is None:
                            own.at = 3
                            yield
                        own.emitted = max(own.emitted, came)
                        own.needed += 1
                if own.in_use:   # until the instruction with the table's place left the post unit
                    while len(events.post_done) <= own.owner - 2:
                        own.at = 4
                        yield
                    own.emitted = max(own.emitted, events.post_done[own.owner - 2] + 1)
                    own.in_use = False
                while (room := self._take()) is None:
                    own.at = 5
                    yield
                own.emitted = max(own.emitted + 1, room)
                gone = end // width
                if shape.ends and own.item == shape.items - 1 and end % width:
                    gone += 1
                own.position = end % width
                self._end_words(gone)
                inner = own.item % shape.per_word
                self._windows.append((own.emitted, (
                    own.output, buffer, is_buffered and inner == shape.parts - 1,
                    is_buffered and inner == shape.per_word - 1, not own.item)))
                self._take()
        while True:
            own.at = 6
            yield

    def _came(self, word: int) -> int | None:
        """The cycle before that in which an item may read the word: it is held, or the one behind
        those that are."""
        own, held = self._decoding, self._config.weight_chunks
        self._hold()
        if word < own.front + held:
            return self._shifted[word] if word < len(self._shifted) else None
        return self._pass(word) if word <= len(self._shifted) else None

    def _hold(self) -> None:
        """Words leave the fetch as soon as there is place for them, as far as that is known."""
        shifted, ended, held = self._shifted, self._ended, self._config.weight_chunks
        while len(shifted) < len(ended) + held:
            word = len(shifted)
            passed = self._pass(word)
            if passed is None:
                break
            shifted.append(max(passed + 1, ended[word - held] if word >= held else 0))

    def _end_words(self, count: int) -> None:
        """The item that was emitted last, or a header, ends so many words."""
        own = self._decoding
        self._ended += [own.emitted] * count
        own.front += count
        self._hold()

    def _blocks(self) -> Generator[tuple[int, BlockShape], None, None]:
        for index, v in enumerate(self._instructions):
            parameters, weights = region_shapes(self._config, v, self._read)
            for shape in parameters:
                yield index, shape
            for _ in range(v["weight_repeat"] if weights else 0):
                for shape in weights:
                    yield index, shape
