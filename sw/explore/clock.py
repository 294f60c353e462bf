"""Clock of a core behind routing: a period that grows with what wires and adders are long by.

For each speed grade or series and kind of core the period is a sum: a constant, the square of the
placed LUTs, for wires grow longer and scarcer at once, and the bits that a serial requantizer adds
in a cycle, each times a factor of at least 0. It is fitted to the slowest seed of each routed
point. A clock is known only by routing.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import UnsupportedError
from kaniwa.explore.points import Point, known_points
from kaniwa.extras import needed

__all__ = ["ClockModel", "clock_model", "fit_clock"]

# Holds the factors near 0 where points lie close together; the constant is free. With less of it a
# device that is smaller than all points looks too fast.
RIDGE = 0.2
KILO = 1000


@dataclass(frozen=True)
class ClockModel:
    """Nanoseconds of a period: a constant, and for each of the terms of ``_terms``."""

    factors: tuple[float, ...]

    def mhz(self, config: AcceleratorConfig, lut: int) -> float:
        """The clock of the slowest seed in MHz, of a core of ``lut`` placed LUTs."""
        return 1e3 / float(np.dot(self.factors, _terms(config, lut)))


def _terms(config: AcceleratorConfig, lut: int) -> tuple[float, float, float]:
    return 1.0, (lut / KILO) ** 2, 32 / config.requant_cycles if config.requant_cycles > 1 else 0.0


def fit_clock(device: Sequence[str], compact: bool, points: Sequence[Point]) -> ClockModel:
    """The model of a device's pipelined or compact cores, as of all devices of its series.

    Raises UnsupportedError where none was routed, or without the extra ``explore``.
    """
    own = [point for point in points if point.series == device[-1] and point.clock_of_seed
           and point.accelerator.compact == compact]
    if not own:
        raise UnsupportedError(f"no {'compact' if compact else 'pipelined'} core was routed for "
                               f"{' '.join(device)}: add a point with tools/add_point.py")
    with needed("a clock model", "explore"):
        from scipy.optimize import nnls

    # Shares of each point's own period, so that a slow device does not outweigh a fast one.
    rows = np.array([_terms(point.accelerator, point.placed["lut"]) for point in own])
    periods = np.array([1e3 / min(point.clock_of_seed.values()) for point in own])
    scale = rows.max(axis=0)
    scale[scale == 0] = 1.0
    ridge = RIDGE * np.diag([0.0, 1.0, 1.0])
    found, _ = nnls(np.vstack([rows / scale / periods[:, None], ridge / periods.mean()]),
                    np.concatenate([np.ones(len(own)), np.zeros(3)]))
    return ClockModel(tuple(float(value) for value in found / scale))


@functools.cache
def clock_model(device: tuple[str, ...], compact: bool) -> ClockModel:
    """The model that the points of kaniwa give."""
    return fit_clock(device, compact, known_points())
