"""The way that a vector program takes, without data: how many cycles it needs."""

from __future__ import annotations

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.timing import Timing
from kaniwa.units.unit import ARBITER
from kaniwa.units.vector.emulator import Values, VectorEmulator
from kaniwa.units.vector.timing import MemorySide

__all__ = ["VectorTrace"]


class VectorTrace(VectorEmulator):
    """Runs loops, lengths and addresses only: what is computed has no part in them. As in a core,
    with ``outside`` memory."""

    def __init__(self, config: AcceleratorConfig, outside: Timing) -> None:
        def side(timing: Timing) -> MemorySide:
            return MemorySide(timing.latency + ARBITER,
                              max(1, timing.bus_cycles(config.read_bytes)),
                              max(1, timing.bus_cycles(config.write_bytes)))

        super().__init__(config, np.zeros(0, np.uint8),
                         sides=(side(Timing.of(config)), side(outside)))

    def _compute(self, values: Values) -> None:
        pass

    def _load(self, values: Values) -> None:
        self._element(values)

    def _store(self, values: Values) -> None:
        self._element(values)
