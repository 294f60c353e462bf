"""Cycle model: results of the array through the post unit."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events
from kaniwa.cycles.memory import MemoryTimeline
from kaniwa.cycles.operand import OperandPath
from kaniwa.cycles.pipeline import PostPipeline
from kaniwa.cycles.store import Store
from kaniwa.cycles.weights import WeightPath
from kaniwa.isa import Mode
from kaniwa.program.instruction import Values, parameter_words_per_block

__all__ = ["Results"]


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
        self._started = 0                # beats so far
        self._posting = self._post()

    def poke(self) -> bool:
        """Go on as far as is known by now; whether that was any further."""
        before = self._progress()
        next(self._posting)
        return self._progress() > before

    def _progress(self) -> int:
        return self._started + self.store.stored + self._pipeline.sum_count

    def undecided(self) -> bool:
        """True while sums wait for beats that may come before them."""
        return bool(self._pipeline.sums)

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
        for index, v in enumerate(self._instructions):
            events.open["post"].append(free)
            while len(offered) <= index:
                self._go_on()
                yield
            accepted = max(offered[index], free) + 1
            words = parameter_words_per_block(config, v)
            beat_counts = (-(-v["block_width"] // lanes), -(-v["last_width"] // lanes))
            blocks, add, by_block = v["blocks"], bool(v["add"]), v["mode"] == Mode.COLUMN
            of_row = v["ofm_columns"] * blocks
            total = v["ofm_rows"] * of_row
            for number in range(total):
                while not self.blocks:
                    self._go_on()
                    yield
                issued, block, parameters = self.blocks.popleft()
                left = max(issued + delay, popped)
                self.returned.append(left + 1)
                accepted = max(left, accepted)
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
                    self._started += 1
                    self.store.marks.append((
                        last_block or not by_block, not beat and not number % of_row,
                        number == total - 1 and beat == count - 1))
                popped = accepted
            first_word += blocks * words
            events.parameter_releases.append((accepted + 2, first_word))
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
