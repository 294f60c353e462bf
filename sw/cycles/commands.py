"""Cycle model: the sequencer, which fetches instructions and offers each to all units."""

from __future__ import annotations

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, UNITS

__all__ = ["Commands"]

WORD_COUNT_BYTES = 4 * (1 + max(f.word for f in FIELDS.values()))   # of an instruction
CHECKED = 3       # from the response with an instruction's last word to its offer


class Commands:
    """``end_fetched``: when the END instruction after ``count`` others is there."""

    def __init__(self, config: AcceleratorConfig, count: int, events: Events,
                 address: int) -> None:
        self._config, self._count, self._events = config, count, events
        self.address = address
        self.end_fetched = 0
        self._responses: list[int] = []
        self.reader = self._fetch()

    def respond(self, cycle: int) -> None:
        self._responses.append(cycle)

    def _fetch(self) -> Reader:
        offered, depth = self._events.offered, self._config.instruction_queue
        through = 2 if depth > 1 else 1    # cycles in an empty queue
        words = min(-(-WORD_COUNT_BYTES // self._config.read_bytes),
                    INSTRUCTION_BYTES // self._config.read_bytes)
        ready = 0
        for index in range(self._count + 1):
            for _ in range(words):
                ready = (yield ready) + 1
            while len(self._responses) < (index + 1) * words:
                yield None
            checked = last = self._responses[-1] + CHECKED
            if index == self._count:
                self.end_fetched = checked
                break
            waiting = list(UNITS)
            while waiting:
                for unit in list(waiting):
                    taken = checked
                    if index >= depth:
                        begun = self._events.begun(unit, index - depth)
                        if begun is None:
                            continue
                        taken = max(taken, begun + 1)
                    waiting.remove(unit)
                    offered[unit].append(taken + through)
                    last = max(last, taken)
                if waiting:
                    yield None
            ready = last + 1
        while True:
            yield None
