"""What quantisation costs: levels, signal to noise by tensor, and the size of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

__all__ = ["ActivationErrors", "ActivationError", "Outcome", "WeightError", "weight_error"]

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
    """All of it, in the order of the layers; the model is ``data``.

    ``shapes``: of the samples, by input, where the model leaves sizes open.
    """

    data: bytes
    weights: Sequence[WeightError]
    activations: Sequence[ActivationError]
    samples: int
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

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
                "bytes": len(self.data)}


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: None stands for it."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()}


class ActivationErrors:
    """Sums up the errors of activations, sample by sample."""

    def __init__(self) -> None:
        # Of each tensor: least, greatest, squares of the values, squares of the errors.
        self._found: dict[str, tuple[float, float, float, float]] = {}

    def take(self, exact: Mapping[str, np.ndarray], quantised: Mapping[str, np.ndarray]) -> None:
        """The real values of a sample in both models, by name.

        Those in one of them are left out, and those with another size there: how many steps a loop
        takes may depend on its values.
        """
        for name in exact.keys() & quantised.keys():
            value = np.ravel(exact[name]).astype(np.float64)
            if value.size and value.size == quantised[name].size:
                error = value - np.ravel(quantised[name])
                low, high, signal, noise = self._found.get(name, (math.inf, -math.inf, 0.0, 0.0))
                self._found[name] = (min(low, float(value.min())), max(high, float(value.max())),
                                     signal + float(value @ value), noise + float(error @ error))

    def rows(self, order: Sequence[str]) -> list[ActivationError]:
        """A row for each tensor, in the ``order`` of names."""
        return [ActivationError(name, low, high, _decibels(signal, noise))
                for name in dict.fromkeys(order) if name in self._found
                for low, high, signal, noise in [self._found[name]]]


def _decibels(signal: float, noise: float) -> float:
    """Signal to noise of two sums of squares: 10 log10(signal / noise); infinite without noise,
    minus infinity where the quantised model comes to numbers that are not finite."""
    if not math.isfinite(noise):
        return -math.inf
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def weight_error(name: str, exact: np.ndarray, integers: np.ndarray, real: np.ndarray, bits: int,
                 scales: int) -> WeightError:
    """``integers`` stand for the ``real`` values, in the place of the ``exact`` ones."""
    return WeightError(name, tuple(map(int, exact.shape)), bits, scales,
                       len(np.unique(integers)), 1 << bits,
                       _decibels(_squares(exact), _squares(exact - real)))


def _squares(values: np.ndarray) -> float:
    return float(np.sum(np.square(values, dtype=np.float64)))
