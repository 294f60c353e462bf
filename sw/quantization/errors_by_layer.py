"""What quantisation costs: levels, signal to noise by tensor, and the size of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

__all__ = ["ActivationError", "Outcome", "WeightError", "signal_to_noise", "weight_error"]

FLOAT_BITS = 32


@dataclass(frozen=True)
class WeightError:
    """Of a weight tensor: ``levels`` that are in use, of ``of_levels`` that its bits have."""

    name: str
    shape: tuple[int, ...]
    bits: int
    scales: int
    levels: int
    of_levels: int
    signal_to_noise_db: float

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ActivationError:
    """Of the values that a layer gives, over samples: beside those of the float model."""

    name: str
    low: float
    high: float
    signal_to_noise_db: float


@dataclass(frozen=True)
class Outcome:
    """All of it, in the order of the layers; the model is ``data``."""

    data: bytes
    weights: Sequence[WeightError]
    activations: Sequence[ActivationError]
    samples: int
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def ratio(self) -> float:
        """Compression ratio of the quantised weights: their bits in float32 by those they have."""
        stored = sum(row.size * row.bits for row in self.weights)
        return FLOAT_BITS * sum(row.size for row in self.weights) / stored if stored else 1.0

    def facts(self) -> dict[str, Any]:
        """For a program that reads it."""
        return {"weights": [_finite(asdict(row)) for row in self.weights],
                "activations": [_finite(asdict(row)) for row in self.activations],
                "samples": self.samples, "ratio": round(self.ratio, 3),
                "bytes": len(self.data), "notes": list(self.notes)}


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: None stands for it."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()}


def signal_to_noise(exact: np.ndarray, quantised: np.ndarray) -> float:
    """20 log10(|x| / |x - y|) in decibels; infinite where nothing differs."""
    signal = float(np.linalg.norm(exact.astype(np.float64)))
    noise = float(np.linalg.norm(exact.astype(np.float64) - quantised.astype(np.float64)))
    if noise == 0:
        return math.inf
    return 20 * math.log10(signal / noise) if signal else -math.inf


def weight_error(name: str, exact: np.ndarray, integers: np.ndarray, real: np.ndarray, bits: int,
                 scales: int) -> WeightError:
    """``integers`` stand for the ``real`` values, in the place of the ``exact`` ones."""
    return WeightError(name, tuple(map(int, exact.shape)), bits, scales,
                       len(np.unique(integers)), 1 << bits, signal_to_noise(exact, real))
