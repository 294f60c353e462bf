"""Ranges of activations over samples, for a quantiser that is given them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kaniwa.extras import needed
from kaniwa.quantization.quiet import quiet
from kaniwa.quantization.recipe import Recipe

__all__ = ["Ranges"]

BINS = {"percentile": 2048, "entropy": 128}
ENTROPY_LEVELS = 128       # of a sign, as int8 has


class Ranges:
    """Takes the values of each sample, and finds the ranges by the recipe's method.

    ``percentile`` and ``entropy`` are those of ONNX Runtime, whose histograms are used.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._low: dict[str, float] = {}
        self._high: dict[str, float] = {}
        self._histograms = None
        if recipe.method != "minmax":
            with needed(f"calibration by {recipe.method}", "quantize"):
                from onnxruntime.quantization.calibrate import HistogramCollector

            self._histograms = HistogramCollector(
                method=recipe.method, symmetric=recipe.symmetric_activations,
                num_bins=BINS[recipe.method], num_quantized_bins=ENTROPY_LEVELS,
                percentile=recipe.percentile, scenario="same")

    def take(self, values: Mapping[str, np.ndarray]) -> None:
        """Values of tensors, by name."""
        for name, value in values.items():
            self._low[name] = min(self._low.get(name, np.inf), float(value.min()))
            self._high[name] = max(self._high.get(name, -np.inf), float(value.max()))
        if self._histograms is not None:
            with quiet():
                self._histograms.collect({name: [value] for name, value in values.items()})

    def found(self) -> dict[str, tuple[float, float]]:
        """The least and the largest value that each tensor is to hold; 0 is always between."""
        ranges = {name: (low, self._high[name]) for name, low in self._low.items()}
        if self._histograms is not None:
            with quiet():
                result = self._histograms.compute_collection_result()
            ranges |= {name: (float(np.ravel(pair[0])[0]), float(np.ravel(pair[1])[0]))
                       for name, pair in result.items()}
        return {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in ranges.items()}
