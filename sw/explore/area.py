"""Logic of a core on an FPGA family: a model for each block, fitted to what synthesis made.

Each block's LUTs and flip-flops are a sum of its features (``kaniwa.explore.features``), each times
a factor of at least 0: non-negative least squares (Lawson and Hanson, "Solving least squares
problems", 1974, chapter 23), by SciPy. Block RAMs and multipliers are counted, not fitted.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import UnsupportedError
from kaniwa.explore.beside import ALONE, Beside
from kaniwa.explore.features import features
from kaniwa.explore.memories import exact_counts
from kaniwa.explore.points import Point, known_points
from kaniwa.extras import needed

if TYPE_CHECKING:
    from kaniwa.boards.board import Board

__all__ = ["REACH", "AreaModel", "area_model", "fit_area", "searched_cores"]

KINDS = ("lut", "ff")
# Synthesis moves logic from one block to its neighbor: where a model has no features for the one,
# its cells count as the other's.
NEIGHBOR = {"line_buffer": "window"}
# Of a feature a config may have so many times as much as the point with the most of it.
REACH = 2
# The cell unit, of which no netlist is among the points: base_recurrent beside base_vector in
# docs/boards/ulx3s.md, both of one time.
CELL_UNIT = {"lut": 10481, "ff": 6589}
# Holds a factor to which no point speaks near 0, without moving one that points determine.
RIDGE = 0.03


@dataclass(frozen=True)
class AreaModel:
    """Factors of each block, by kind of cell, and what a placed design takes of synthesized cells.

    ``placed``: LUTs behind placement for each LUT and for each flip-flop behind synthesis.
    ``most``: of each feature of a block, the most that a point has.
    """

    family: str
    factors: Mapping[str, Mapping[str, tuple[float, ...]]]
    placed: tuple[float, float]
    most: Mapping[str, tuple[float, ...]]

    def beyond(self, config: AcceleratorConfig, beside: Beside = ALONE) -> str | None:
        """The block of a design that has more of something than the points speak of, if one has."""
        own = features(config, beside)
        return next((block for block, most in self.most.items()
                     if any(value > REACH * seen
                            for value, seen in zip(own[block], most, strict=True))), None)

    def blocks(self, config: AcceleratorConfig, beside: Beside = ALONE
               ) -> dict[str, dict[str, int]]:
        """LUTs and flip-flops of each block of a core and what is beside it, behind synthesis."""
        own = features(config, beside)
        found = {block: {kind: round(float(np.dot(own[block], factors[kind]))) for kind in KINDS}
                 for block, factors in self.factors.items()}
        return found | ({"cell unit": dict(CELL_UNIT)} if config.cell_unit else {})

    def cells(self, config: AcceleratorConfig, beside: Beside = ALONE) -> dict[str, int]:
        """Cells behind synthesis by kind: LUTs and flip-flops of the model, the others exact."""
        blocks = self.blocks(config, beside)
        return {kind: sum(counts[kind] for counts in blocks.values()) for kind in KINDS
                } | exact_counts(self.family, config, beside)

    def used(self, config: AcceleratorConfig, beside: Beside = ALONE) -> dict[str, int]:
        """Resources of a device behind placement, by kind."""
        cells = self.cells(config, beside)
        return cells | {"lut": round(self.placed[0] * cells["lut"] + self.placed[1] * cells["ff"])}


def fit_area(family: str, compact: bool, points: Sequence[Point]) -> AreaModel:
    """The model of a family's pipelined or compact cores. Raises UnsupportedError without points,
    or without the extra ``explore``."""
    own = [point for point in points
           if point.family == family and point.accelerator.compact == compact]
    counted = [point for point in own if point.blocks]
    if not counted:
        raise UnsupportedError(f"no {'compact' if compact else 'pipelined'} core was synthesized "
                               f"for {family}: add a point with tools/add_point.py")
    rows = [features(point.accelerator, point.neighbors) for point in counted]
    totals = [_of_blocks(point, tuple(rows[0])) for point in counted]
    factors = {block: {kind: _fit([row[block] for row in rows],
                                  [total[block].get(kind, 0) for total in totals])
                       for kind in KINDS} for block in rows[0]}
    most = {block: tuple(max(row[block][n] for row in rows) for n in range(len(rows[0][block])))
            for block in rows[0]}
    return AreaModel(family, factors, _fit_placed(own), most)


def _of_blocks(point: Point, blocks: Sequence[str]) -> dict[str, dict[str, int]]:
    """Counts of the blocks that have features; all others together are "other"."""
    found: dict[str, dict[str, int]] = {block: {} for block in blocks}
    for name, counts in point.blocks.items():
        name = name.split("$")[0]
        own = found[name if name in found else NEIGHBOR.get(name, "other")]
        for kind in KINDS:
            own[kind] = own.get(kind, 0) + counts.get(kind, 0)
    return found


def _fit(rows: Sequence[Sequence[float]], values: Sequence[float]) -> tuple[float, ...]:
    """Factors of at least 0 whose sums come nearest to ``values``, in shares of the largest."""
    with needed("an area model", "explore"):
        from scipy.optimize import nnls

    matrix, wanted = np.array(rows, float), np.array(values, float)
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-9)
    largest = max(float(wanted.max()), 1.0)
    ridge = RIDGE * np.eye(matrix.shape[1])
    ridge[0, 0] = RIDGE / 10    # a constant explains what nothing that varied does
    found, _ = nnls(np.vstack([matrix / scale, ridge]),
                    np.concatenate([wanted / largest, np.zeros(matrix.shape[1])]))
    return tuple(float(value) for value in found * largest / scale)


def _fit_placed(points: Sequence[Point]) -> tuple[float, float]:
    """Placed LUTs for each synthesized LUT and flip-flop; as many as there are without points."""
    both = [point for point in points if point.counts and point.placed]
    if not both:
        return 1.0, 0.0
    lut, ff = _fit([(point.counts["lut"], point.counts["ff"]) for point in both],
                   [point.placed["lut"] for point in both])
    return lut, ff


@functools.cache
def area_model(family: str, compact: bool) -> AreaModel:
    """The model that the points of kaniwa give."""
    return fit_area(family, compact, known_points())


def searched_cores(board: Board) -> tuple[bool, ...]:
    """Kinds of core that a board's family has points of, with a clock: True is the compact one."""
    return tuple(compact for compact in (False, True) if all(
        any(kind and point.accelerator.compact == compact for point, kind in found)
        for found in ([(point, point.family == board.family and point.blocks)
                       for point in known_points()],
                      [(point, point.series == board.device[-1] and point.clock_of_seed)
                       for point in known_points()])))
