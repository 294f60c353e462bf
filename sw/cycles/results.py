"""Cycle model: results of the array through the post unit."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events
from kaniwa.cycles.log import Track
from kaniwa.cycles.look import Frame, Kinds, Look
from kaniwa.cycles.memory import Follower, MemoryTimeline
from kaniwa.cycles.pipeline import PostPipeline
from kaniwa.cycles.readers.operand import OperandPath
from kaniwa.cycles.readers.weights import WeightPath
from kaniwa.cycles.store import Store
from kaniwa.isa import Mode
from kaniwa.program.instruction import Values, parameter_words_per_block

__all__ = ["Results"]

POST = Kinds(
    ("free", "popped", "started", "accepted", "issued", "left", "cycle", "pending", "there"),
    ("index", "block", "parameters", "last_block", "count", "beat", "first_word"),
    ("self", "own", "config", "events", "pipeline", "delay", "offered", "ready", "lanes", "serial",
     "operands", "track", "v", "words", "beat_counts", "blocks", "add", "by_block",
     "of_row", "number", "word", "start", "last"),
    ("pending", "there", "accepted", "cycle"))


class _Post(Frame):
    """Of the result ``number`` of an instruction: its ``block``, and the next ``beat`` of it.

    ``pending``: since when the unit waits for it, ``there``: since when it is there; ``operands``:
    beats of the second operand so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.free = self.popped = self.started = self.accepted = 0
        self.issued = self.left = self.cycle = self.pending = self.there = 0
        self.index = self.block = self.count = self.beat = self.first_word = 0
        self.number = self.of_row = self.operands = 0
        self.parameters = self.last_block = False


class Results(Follower):
    """Takes the ``blocks`` of the array; ``returned``: cycles from which their slots are free.

    A block is (cycle of its last step, its number, whether its parameters may still come).
    """

    def __init__(self, config: AcceleratorConfig, instructions: Sequence[Values], events: Events,
                 memory: MemoryTimeline, operand: OperandPath, weights: WeightPath) -> None:
        self._config, self._instructions = config, instructions
        self._events, self._memory = events, memory
        self._operand, self._weights = operand, weights
        self.blocks: deque[tuple[int, int, bool]] = deque()
        self.returned: list[int] = []
        self._pipeline = PostPipeline(config)
        self.store = Store(config, instructions, events, memory, self._pipeline)
        self._posting = _Post()
        self._poster = self._post()

    def state(self, look: Look, index: int, row: int) -> tuple[Any, ...] | None:
        """What post and store unit do next hangs on, at the output row ``row``.

        None where they are not at the instruction.
        """
        own = self._posting
        store = self.store.state(look, index, row)
        if own.index != index or store is None:
            return None
        return (look.frame(own, POST), own.number - row * own.of_row,
                own.operands - len(self._events.operand_ready),
                own.operands - self._pipeline.sum_count if self._config.requant_cycles > 1 else 0,
                [(look.at(cycle), *rest) for cycle, *rest in self.blocks],
                look.recent(self.returned, self._config.result_slots),
                self._pipeline.state(look), store)

    def poke(self) -> None:
        """Go on as far as is known by now."""
        self._poster.send(None)

    @property
    def sums(self) -> Collection[int]:
        """Starts of sums that wait for beats that may come before them."""
        return self._pipeline.sums

    def _go_on(self) -> None:
        """Beats that have started go on, and sums before which no beat comes start."""
        self.store.poke()
        if self._pipeline.sums:
            self._pipeline.start_sums(self._memory.now + 1)
            self.store.poke()

    def _post(self) -> Generator[None]:
        own, config, events, pipeline = self._posting, self._config, self._events, self._pipeline
        # From the issue of a last step to the write of its result: array controller, window, array.
        delay = 6 + config.array_latency
        offered, ready = events.offered["post"], events.parameters_ready
        lanes, serial = config.requant_lanes, config.requant_cycles > 1
        track = events.log and events.log.tracks["post"]
        for own.index, v in enumerate(self._instructions):
            events.opens("post", own.free)
            while len(offered) <= own.index:
                self._go_on()
                own.at = 1
                yield
            own.accepted = max(offered[own.index], own.free) + 1
            words = parameter_words_per_block(config, v)
            beat_counts = (-(-v["block_width"] // lanes), -(-v["last_width"] // lanes))
            blocks, add, by_block = v["blocks"], bool(v["add"]), v["mode"] == Mode.COLUMN
            own.of_row = v["ofm_columns"] * blocks
            own.number = 0
            while own.number < events.rows[own.index] * own.of_row:
                while not self.blocks:
                    self._go_on()
                    own.at = 2
                    yield
                own.issued, own.block, own.parameters = self.blocks.popleft()
                own.left = max(own.issued + delay, own.popped)
                self.returned.append(own.left + 1)
                own.pending, own.accepted = own.accepted, max(own.left, own.accepted)
                own.there = own.accepted
                if own.parameters:
                    word = own.first_word + (own.block + 1) * words - 1
                    while len(ready) <= word:
                        self._weights.poke()
                        if len(ready) <= word:
                            self._go_on()
                            own.at = 3
                            yield
                    own.accepted = max(own.accepted, ready[word])
                own.last_block = own.block == blocks - 1
                own.count = count = beat_counts[own.last_block]
                for own.beat in range(count):
                    own.accepted = max(own.accepted + 1, own.started)
                    own.cycle = own.accepted + 1
                    if add:
                        while len(events.operand_ready) <= own.operands:
                            self._operand.poke()
                            if len(events.operand_ready) <= own.operands:
                                self._go_on()
                                own.at = 4
                                yield
                        own.cycle = max(own.cycle, events.operand_ready[own.operands])
                        if serial:
                            own.at = 5
                            yield from self._sums(own.operands)
                            own.cycle = max(own.cycle, pipeline.last_sum + 1)
                        own.operands += 1
                    while (start := pipeline.start(own.cycle, add)) is None:
                        self._go_on()
                        start = pipeline.start(own.cycle, add)
                        if start is not None:
                            break
                        own.at = 6
                        yield
                    own.started = start
                    if track:
                        self._tell(track, start)
                    last = own.number == events.rows[own.index] * own.of_row - 1
                    self.store.marks.append((
                        own.last_block or not by_block,
                        not own.beat and not own.number % own.of_row,
                        last and own.beat == count - 1))
                own.popped = own.accepted
                own.number += 1
            own.first_word += blocks * words
            events.parameter_releases.append((own.accepted + 2, own.first_word))
            events.news = True
            own.free = own.accepted + 1
            if add:
                own.at = 7
                yield from self._sums(own.operands)
                own.free = max(own.free, pipeline.last_sum + 2)
        while True:
            self._go_on()
            own.at = 8
            yield

    def _tell(self, track: Track, start: int) -> None:
        """The next beat starts, and has waited before."""
        own = self._posting
        if not own.beat:
            track.wait(own.pending, own.there, own.index, "input")
            track.wait(own.there, own.accepted, own.index, "weights")
        if start > own.accepted + 1:
            track.wait(own.accepted + 1, own.cycle, own.index, "operand")
            track.wait(own.cycle, start, own.index, "store")
        track.work(start, start + self._config.requant_cycles, own.index)

    def _sums(self, count: int) -> Generator[None]:
        """Waits until that many sums have come round."""
        while self._pipeline.sum_count < count:
            self._go_on()
            if self._pipeline.sum_count < count:
                yield
