"""How far the models are off: each point as the models see it that are fitted to all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaniwa.errors import UnsupportedError
from kaniwa.explore.area import fit_area
from kaniwa.explore.clock import fit_clock
from kaniwa.explore.points import Point

__all__ = ["HeldBack", "held_back"]


@dataclass(frozen=True)
class HeldBack:
    """A point, and the relative error of what the other points say of it: ``lut`` and ``ff`` behind
    synthesis, ``placed`` LUTs, ``clock`` of the slowest seed with the LUTs modelled, too. None
    where the point does not have it, or no other point speaks of it. ``beyond``: the block of which
    it has more than the search takes the other points to speak of; then there are no errors."""

    point: Point
    lut: float | None = None
    ff: float | None = None
    placed: float | None = None
    clock: float | None = None
    beyond: str | None = None


def held_back(points: Sequence[Point]) -> list[HeldBack]:
    """The errors of each point, in their order. Raises UnsupportedError without ``explore``."""
    return [_error(point, [one for one in points if one is not point]) for point in points]


def _error(point: Point, others: Sequence[Point]) -> HeldBack:
    config, beside = point.accelerator, point.neighbors
    try:
        area = fit_area(point.family, config.compact, others)
    except UnsupportedError:
        return HeldBack(point)
    if (block := area.beyond(config, beside)) is not None:
        return HeldBack(point, beyond=block)
    cells, used = area.cells(config, beside), area.used(config, beside)
    clock = None
    if point.clock_mhz:
        try:
            clock = fit_clock(point.device, config.compact, others).mhz(
                config, used["lut"]) / point.clock_mhz - 1
        except UnsupportedError:
            pass
    return HeldBack(
        point, cells["lut"] / point.counts["lut"] - 1 if point.counts else None,
        cells["ff"] / point.counts["ff"] - 1 if point.counts else None,
        used["lut"] / point.placed["lut"] - 1 if point.placed else None, clock)
