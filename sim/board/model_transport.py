"""A transport to the Python model of a device, in this process and on a clock of its own."""

from __future__ import annotations

import random

from kaniwa.sim.board.link_model import LinkModel

__all__ = ["ModelTransport"]


class ModelTransport:
    """Answers of ``model`` arrive in pieces of random size; a byte takes 1 / ``pace`` seconds.

    Waiting takes no time but on this clock. ``waiting``: bytes on their way to the device, for it
    takes all at once.
    """

    waiting = 0

    def __init__(self, model: LinkModel, pace: float = 300_000.0, seed: int = 0) -> None:
        self.name = "model"
        self.pace: float | None = pace
        self.model = model
        self._rate = pace
        self._rng = random.Random(seed)
        self._arrived = b""
        self._clock = 0.0

    def write(self, data: bytes) -> None:
        self._clock += len(data) / self._rate
        self._arrived += self.model.receive(data)

    def read(self, seconds: float) -> bytes:
        if not self._arrived:
            self._clock += seconds
            return b""
        size = self._rng.randint(1, len(self._arrived))
        data, self._arrived = self._arrived[:size], self._arrived[size:]
        self._clock += size / self._rate
        return data

    def wait(self, seconds: float) -> None:
        """Let time pass: the device works."""
        self._clock += seconds

    def now(self) -> float:
        return self._clock

    def close(self) -> None:
        """Nothing to give up."""
