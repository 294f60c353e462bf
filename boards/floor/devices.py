"""Grids of the devices: their size, and the rows or columns of block RAM and multipliers.

From the chip databases of Project Trellis, IceStorm, Apicula, Project Oxide and Peppercorn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kaniwa.boards.floor.placement import Site

__all__ = ["Band", "Grid", "find_grid"]


@dataclass(frozen=True)
class Band:
    """Tiles with blocks of one kind: from (x, y), ``width`` by ``height``."""

    kind: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Grid:
    """A device's tiles. ``up``: its rows are numbered from the bottom. ``known``: not guessed."""

    width: int
    height: int
    up: bool
    bands: tuple[Band, ...]
    known: bool = True


def _rows(kind: str, x: int, width: int, rows: Iterable[int]) -> tuple[Band, ...]:
    return tuple(Band(kind, x, y, width, 1) for y in rows)


GW2A_18 = Grid(56, 55, False, (*_rows("bram", 1, 51, (9, 27, 45)), *_rows("dsp", 1, 54, (18, 36))))

ECP5_85 = Grid(127, 96, False, (*_rows("bram", 4, 119, (22, 46, 70, 82)),
                                *_rows("dsp", 4, 119, (10, 34, 58))))

# Block RAMs of Nexus, with logic between them.
EBR_COLUMNS = (3, 6, 9, 11, 15, 18, 21, 23, 27, 30, 33, 35, 39, 42, 45, 47, 52, 55, 58, 60, 64, 67,
               70, 72, 76, 79, 82, 84)

# By an argument that names the device to nextpnr. Sizes count from tile 0.
GRIDS = {
    "--25k": Grid(73, 51, False, (*_rows("bram", 4, 65, (25, 37)), *_rows("dsp", 4, 65, (13,)))),
    "--85k": ECP5_85,
    "--um5g-85k": ECP5_85,
    "--up5k": Grid(26, 32, True, (
        *(Band("bram", x, 1, 1, 30) for x in (6, 19)),
        *(Band("dsp", x, y, 1, 4) for x in (0, 25) for y in (5, 10, 15, 23)))),
    "GW2A-LV18PG256C8/I7": GW2A_18,
    "GW2AR-LV18QN88C8/I7": GW2A_18,
    "GW1NR-LV9QN88PC6/I5": Grid(47, 29, False, (*_rows("bram", 1, 45, (9, 27)),
                                                *_rows("dsp", 1, 45, (18,)))),
    "LIFCL-40-9BG400C": Grid(88, 57, False, (
        *(band for x in EBR_COLUMNS for band in _rows("bram", x, 1, (11, 29, 47))),
        *_rows("dsp", 3, 78, (20, 38)))),
    "CCGM1A1": Grid(166, 134, True, tuple(Band("bram", x, 3, 1, 128) for x in (35, 67, 99, 131))),
}


def find_grid(device: Sequence[str], sites: Iterable[Site]) -> Grid:
    """The grid of a device as nextpnr's arguments name it; else the extent of its used sites."""
    for argument in device:
        if argument in GRIDS:
            return GRIDS[argument]
    places = [(site.x, site.y) for site in sites] or [(0, 0)]
    return Grid(max(x for x, _ in places) + 1, max(y for _, y in places) + 1, False, (), False)
