"""The way that a vector program takes, without data: how many cycles it needs."""

from __future__ import annotations

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.vector.emulator import Values, VectorEmulator

__all__ = ["VectorTrace"]

ARBITER = 2   # cycles that a read takes more than memory itself


class VectorTrace(VectorEmulator):
    """Runs loops and lengths only: what is computed has no part in them. As in a core, with on-chip
    memory."""

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(config, np.zeros(0, np.uint8), latency=config.memory_latency + ARBITER)

    def _compute(self, values: Values) -> None:
        pass

    def _load(self, values: Values) -> None:
        pass

    def _store(self, values: Values) -> None:
        pass
