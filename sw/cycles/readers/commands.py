"""Cycle model: the sequencer, which fetches instructions and offers each to all units."""

from __future__ import annotations

from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.look import Locals, Look, values_of
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, UNITS

__all__ = ["Commands"]

WORD_COUNT_BYTES = 4 * (1 + max(f.word for f in FIELDS.values()))   # of an instruction
CHECKED = 3       # from the response with an instruction's last word to its offer

LOCALS = Locals(("ready", "checked", "last"), ("index",), (
    "self", "offered", "track", "depth", "through", "words", "_", "waiting", "unit", "taken",
    "begun"),
    ("checked", "last"))


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
        self._events.news = True

    def heard(self) -> int:
        """Answers, and instructions that units took."""
        return len(self._responses) + self._events.opened

    def state(self, look: Look) -> tuple[Any, ...]:
        """What the unit does next hangs on."""
        waiting = values_of(self.reader).get("waiting", ())
        return (look.frame(self.reader, LOCALS), tuple(waiting), len(self._responses),
                look.recent(self._responses))

    def _fetch(self) -> Reader:
        offered, depth = self._events.offered, self._config.instruction_queue
        track = self._events.log and self._events.log.tracks["commands"]
        through = 2 if depth > 1 else 1    # cycles in an empty queue
        words = min(-(-WORD_COUNT_BYTES // self._config.read_bytes),
                    INSTRUCTION_BYTES // self._config.read_bytes)
        ready = 0
        for index in range(self._count + 1):
            for _ in range(words):
                ready = (yield ready) + 1
                self.address += self._config.read_bytes
                if track:
                    track.tell(ready - 1, ready, index)
            self.address += INSTRUCTION_BYTES - words * self._config.read_bytes
            while len(self._responses) < (index + 1) * words:
                yield None
            checked = last = self._responses[-1] + CHECKED
            if index == self._count:
                self.end_fetched = checked + self._events.skipped
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
                    self._events.news = True
                    last = max(last, taken)
                if waiting:
                    yield None
            ready = last + 1
            if track:
                track.tell(checked, last, index, "queue")
        while True:
            yield None
