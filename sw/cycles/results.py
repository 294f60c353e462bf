"""Cycle model: results of the array through the post unit."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events
from kaniwa.cycles.log import CODE_BITS
from kaniwa.cycles.look import Locals, Look, values_of
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.pipeline import PostPipeline
from kaniwa.cycles.readers.operand import OperandPath
from kaniwa.cycles.readers.weights import WeightPath
from kaniwa.cycles.store import Store
from kaniwa.isa import Mode
from kaniwa.program.instruction import Values, parameter_words_per_block

__all__ = ["Results"]

LOCALS = Locals(
    ("free", "popped", "started", "accepted", "issued", "left", "cycle", "pending", "there"),
    ("index", "block", "parameters", "last_block", "count", "beat", "first_word"),
    ("self", "config", "events", "pipeline", "delay", "offered", "ready", "lanes", "serial",
     "operands", "track", "spacing", "v", "words", "beat_counts", "blocks", "add", "by_block",
     "of_row", "number", "word", "start"),
    ("pending", "there", "accepted", "cycle"))


class Results:
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
        self._posting = self._post()

    def state(self, look: Look, index: int, row: int) -> tuple[Any, ...] | None:
        """What post and store unit do next hangs on, at the output row ``row``.

        None where they are not at the instruction.
        """
        values = values_of(self._posting)
        store = self.store.state(look, index, row)
        if values["index"] != index or store is None:
            return None
        operands = values["operands"]
        return (look.frame(self._posting, LOCALS), values["number"] - row * values["of_row"],
                operands - len(self._events.operand_ready),
                operands - self._pipeline.sum_count if values["serial"] else 0,
                [(look.at(cycle), *rest) for cycle, *rest in self.blocks],
                look.recent(self.returned, self._config.result_slots),
                self._pipeline.state(look), store)

    def poke(self) -> None:
        """Go on as far as is known by now."""
        next(self._posting)

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
        config, events, pipeline = self._config, self._events, self._pipeline
        # From the issue of a last step to the write of its result: array controller, window, array.
        delay = 6 + config.array_latency
        offered, ready = events.offered["post"], events.parameters_ready
        lanes, serial = config.requant_lanes, config.requant_cycles > 1
        free = popped = started = first_word = operands = 0
        track = events.log and events.log.tracks["post"]
        spacing = config.requant_cycles
        for index, v in enumerate(self._instructions):
            events.opens("post", free)
            while len(offered) <= index:
                self._go_on()
                yield
            accepted = max(offered[index], free) + 1
            words = parameter_words_per_block(config, v)
            beat_counts = (-(-v["block_width"] // lanes), -(-v["last_width"] // lanes))
            blocks, add, by_block = v["blocks"], bool(v["add"]), v["mode"] == Mode.COLUMN
            of_row = v["ofm_columns"] * blocks
            number = 0
            while number < events.rows[index] * of_row:
                while not self.blocks:
                    self._go_on()
                    yield
                issued, block, parameters = self.blocks.popleft()
                left = max(issued + delay, popped)
                self.returned.append(left + 1)
                pending, accepted = accepted, max(left, accepted)
                there = accepted
                if parameters:
                    word = first_word + (block + 1) * words - 1
                    while len(ready) <= word:
                        self._weights.poke()
                        if len(ready) <= word:
                            self._go_on()
                            yield
                    accepted = max(accepted, ready[word])
                last_block = block == blocks - 1
                count = beat_counts[last_block]
                for beat in range(count):
                    accepted = max(accepted + 1, started)
                    cycle = accepted + 1
                    if add:
                        while len(events.operand_ready) <= operands:
                            self._operand.poke()
                            if len(events.operand_ready) <= operands:
                                self._go_on()
                                yield
                        cycle = max(cycle, events.operand_ready[operands])
                        if serial:
                            yield from self._sums(operands)
                            cycle = max(cycle, pipeline.last_sum + 1)
                        operands += 1
                    while (start := pipeline.start(cycle, add)) is None:
                        self._go_on()
                        start = pipeline.start(cycle, add)
                        if start is not None:
                            break
                        yield
                    started = start
                    if track:
                        if not beat:
                            track.tell(pending, there, index, "input")
                            track.tell(there, accepted, index, "weights")
                        if start > accepted + 1:
                            track.tell(accepted + 1, cycle, index, "operand")
                            track.tell(cycle, start, index, "store")
                        track.told += (start, start + spacing, index << CODE_BITS)
                    self.store.marks.append((
                        last_block or not by_block, not beat and not number % of_row,
                        number == events.rows[index] * of_row - 1 and beat == count - 1))
                popped = accepted
                number += 1
            first_word += blocks * words
            events.parameter_releases.append((accepted + 2, first_word))
            events.news = True
            free = accepted + 1
            if add:
                yield from self._sums(operands)
                free = max(free, pipeline.last_sum + 2)
        while True:
            self._go_on()
            yield

    def _sums(self, count: int) -> Generator[None]:
        """Waits until that many sums have come round."""
        while self._pipeline.sum_count < count:
            self._go_on()
            if self._pipeline.sum_count < count:
                yield
