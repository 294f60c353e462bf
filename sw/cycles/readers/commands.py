"""Cycle model: the sequencer, which fetches instructions and offers each to all units."""

from __future__ import annotations

from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.look import Frame, Kinds, Look
from kaniwa.cycles.memory import ReadPath
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, UNITS

__all__ = ["Commands"]

WORD_COUNT_BYTES: Final = 4 * (1 + max(f.word for f in FIELDS.values()))   # of an instruction
CHECKED: Final = 3       # from the response with an instruction's last word to its offer

FETCH = Kinds(("ready", "checked", "last"), ("index",), (
    "self", "own", "offered", "track", "depth", "through", "words", "_", "waiting", "unit",
    "taken", "begun"),
    ("checked", "last"))


class _Fetch(Frame):
    """``waiting``: units that have not been offered the instruction."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = self.checked = self.last = self.index = 0
        self.waiting: list[str] = []


class Commands(ReadPath):
    """``end_fetched``: when the END instruction after ``count`` others is there."""

    def __init__(self, config: AcceleratorConfig, count: int, events: Events,
                 address: int) -> None:
        self._config, self._count, self._events = config, count, events
        self.address = address
        self.end_fetched = 0
        self._responses: list[int] = []
        self._fetching = _Fetch()
        self.reader = self._fetch()

    def respond(self, cycle: int) -> None:
        self._responses.append(cycle)
        self._events.news = True

    def heard(self) -> int:
        """Answers, and instructions that units took."""
        return len(self._responses) + self._events.opened

    def state(self, look: Look) -> tuple[Any, ...]:
        """What the unit does next hangs on."""
        own = self._fetching
        return (look.frame(own, FETCH), tuple(own.waiting), len(self._responses),
                look.recent(self._responses))

    def _fetch(self) -> Reader:
        own = self._fetching
        offered, depth = self._events.offered, self._config.instruction_queue
        track = self._events.log and self._events.log.tracks["commands"]
        through = 2 if depth > 1 else 1    # cycles in an empty queue
        words = min(-(-WORD_COUNT_BYTES // self._config.read_bytes),
                    INSTRUCTION_BYTES // self._config.read_bytes)
        own.ready = 0
        for own.index in range(self._count + 1):
            for _ in range(words):
                own.at = 1
                own.ready = (yield own.ready) + 1
                self.address += self._config.read_bytes
                if track:
                    track.work(own.ready - 1, own.ready, own.index)
            self.address += INSTRUCTION_BYTES - words * self._config.read_bytes
            while len(self._responses) < (own.index + 1) * words:
                own.at = 2
                yield None
            own.checked = own.last = self._responses[-1] + CHECKED
            if own.index == self._count:
                self.end_fetched = own.checked + self._events.skipped
                break
            own.waiting = list(UNITS)
            while own.waiting:
                for unit in list(own.waiting):
                    taken = own.checked
                    if own.index >= depth:
                        begun = self._events.begun(unit, own.index - depth)
                        if begun is None:
                            continue
                        taken = max(taken, begun + 1)
                    own.waiting.remove(unit)
                    offered[unit].append(taken + through)
                    self._events.news = True
                    own.last = max(own.last, taken)
                if own.waiting:
                    own.at = 3
                    yield None
            own.ready = own.last + 1
            if track:
                track.wait(own.checked, own.last, own.index, "queue")
        while True:
            own.at = 4
            yield None
