"""Kinds of sites of each family: their names, and the part of a tile that a site fills."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kaniwa.boards.floor.devices import Grid
from kaniwa.boards.floor.placement import Site

__all__ = ["KINDS", "LACKS", "TILE", "Box", "Kind", "find_kind", "site_box"]

TILE = 8    # units of the drawing along a tile
SLICES = "ABCD"


@dataclass(frozen=True)
class Box:
    """A rectangle in units of the drawing, whose y counts from the top."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Kind:
    """A kind of sites. ``bel``: nextpnr's name of it in its utilization. ``types``: of its cells.

    ``share``: the columns of a tile that its sites fill, as (first, number) in units; eight sites
    are below one another there, or an upper and a lower one, or one over both. Else ``beside``
    sites share ``tiles``, as (width, height). With neither they have no place in the drawing.
    """

    title: str
    bel: str
    types: str
    share: tuple[int, int] | None = None
    tiles: tuple[int, int] | None = None
    beside: int = 1


KINDS = {
    "ecp5": (
        Kind("LUTs", "TRELLIS_COMB", "TRELLIS_COMB", share=(0, 4)),
        Kind("registers", "TRELLIS_FF", "TRELLIS_FF", share=(4, 4)),
        Kind("LUT RAM write ports", "TRELLIS_RAMW", "TRELLIS_RAMW"),
        Kind("block RAM", "DP16KD", "DP16KD|PDPW16KD", tiles=(2, 1)),
        Kind("multipliers", "MULT18X18D", "MULT18X18D", tiles=(1, 1)),
    ),
    "ice40": (
        Kind("logic cells", "ICESTORM_LC", "ICESTORM_LC", share=(0, 8)),
        Kind("block RAM", "ICESTORM_RAM", "ICESTORM_RAM", tiles=(1, 2)),
        Kind("single-port RAM", "ICESTORM_SPRAM", "ICESTORM_SPRAM", tiles=(1, 4), beside=2),
        Kind("multipliers", "ICESTORM_DSP", "ICESTORM_DSP", tiles=(1, 4)),
    ),
    "gowin": (
        Kind("LUTs", "LUT4", "LUT[1-4]", share=(0, 4)),
        Kind("carry cells", "ALU", "ALU", share=(0, 4)),
        Kind("LUT RAM", "RAM16SDP4", "RAM16SDP[124]"),
        Kind("registers", "DFF", "DFF[A-Z]*", share=(4, 4)),
        Kind("block RAM", "BSRAM", "SP|SPX9|SDPB?|SDPX9B?|DPB?|DPX9B?|pROM|pROMX9", tiles=(3, 1)),
        Kind("multipliers 18 x 18", "MULT18X18", "MULT18X18", tiles=(9, 1), beside=4),
        Kind("multipliers 9 x 9", "MULT9X9", "MULT9X9", tiles=(9, 1), beside=8),
    ),
    "nexus": (
        Kind("LUTs", "OXIDE_COMB", "OXIDE_COMB", share=(0, 4)),
        Kind("registers", "OXIDE_FF", "OXIDE_FF", share=(4, 4)),
        Kind("LUT RAM write ports", "RAMW", "RAMW"),
        Kind("block RAM", "OXIDE_EBR", "OXIDE_EBR", tiles=(1, 1)),
        Kind("multipliers 9 x 9", "MULT9_CORE", "MULT9_CORE", tiles=(1, 1), beside=2),
        Kind("multipliers 18 x 18", "MULT18_CORE", "MULT18_CORE"),
    ),
    "gatemate": (
        Kind("LUT trees", "CPE_LT", "CPE_L2T4|CPE_L2T5_L|CPE_LT", share=(0, 4)),
        Kind("adders", "CPE_ADDF2", "CPE_ADDF2?", share=(0, 4)),
        Kind("multiplier cells", "CPE_MULT", "CPE_MULT", share=(0, 4)),
        Kind("wide multiplexers", "CPE_MX4", "CPE_MX4", share=(0, 4)),
        Kind("registers", "CPE_FF", "CPE_FF", share=(4, 4)),
        Kind("block RAM", "RAM_HALF", "RAM|RAM_HALF", tiles=(1, 16)),
    ),
}

# Cells without a place to draw: parts of a tile that are wires, and constants.
UNDRAWN = (r"MUX2_LUT[5-8]|GOWIN_GND|GOWIN_VCC|DUMMY_CELL|VCC_DRV|PREADD9_CORE|REG18_CORE"
           r"|CPE_(BRIDGE|COMP|CPLINES|RAMI|RAMO|RAMIO)")

# What the drawing of a family cannot show.
LACKS = {
    "ecp5": "LUTs used as RAM are drawn as LUTs; the RAM's write port has no place of its own. "
            "Clock buffers, the PLL and pins are squares of their tile.",
    "ice40": "LUT, carry and register of a logic cell are one site here. Its block is the one that "
             "the LUT drives. Clock buffers, the PLL and pins are squares of their tile.",
    "gowin": "LUTs used as RAM are drawn as LUTs. Wide multiplexers lie between LUTs and are not "
             "drawn. A carry cell takes the place of a LUT. nextpnr does not know every delay of "
             "this family, among them those of multipliers: its clocks are optimistic.",
    "nexus": "LUTs used as RAM are drawn as LUTs; the RAM's write port has no place of its own. "
             "Block RAMs and multipliers share their tile with logic, and the drawing with it. A "
             "multiplier of 18 x 18 bits is drawn as the two of 9 x 9 that it is made of. Clock "
             "buffers and pins are squares of their tile.",
    "gatemate": "A cell that is only passed by a wire or that links wires to block RAM is not "
                "drawn. Half a block RAM is drawn as a whole one. The PLL and pins are squares of "
                "their tile.",
}


def find_kind(family: str, site: Site) -> Kind | None:
    """The kind of a site; None for pins, clock buffers and other single things."""
    return next((kind for kind in KINDS[family] if re.fullmatch(kind.types, site.type)), None)


def site_box(site: Site, kind: Kind | None, grid: Grid) -> Box | None:
    """The place of a site in the drawing; None where it has none."""
    if kind is None and re.fullmatch(UNDRAWN, site.type):
        return None
    if kind is None:
        return _inset(_tiles(site, 1, 1, grid))
    if kind.share is not None:
        first, width = kind.share
        tile = _tiles(site, 1, 1, grid)
        row, height = _row(site.place)
        return Box(tile.x + first, tile.y + row, width, height)
    if kind.tiles is None:
        return None
    box = _tiles(site, *kind.tiles, grid)
    if kind.beside == 1:
        return box
    return _part(box, _number(site.place) % kind.beside, kind.beside)


def _tiles(site: Site, width: int, height: int, grid: Grid) -> Box:
    y = grid.height - site.y - height if grid.up else site.y
    return Box(site.x * TILE, y * TILE, width * TILE, height * TILE)


def _inset(box: Box) -> Box:
    return Box(box.x + 1, box.y + 1, box.width - 2, box.height - 2)


def _part(box: Box, index: int, count: int) -> Box:
    """One of ``count`` equal parts, along the longer side."""
    if box.width >= box.height:
        first, end = (box.width * number // count for number in (index, index + 1))
        return Box(box.x + first, box.y, end - first, box.height)
    first, end = (box.height * number // count for number in (index, index + 1))
    return Box(box.x, box.y + first, box.width, end - first)


def _row(place: str) -> tuple[int, int]:
    """The site's first row in its tile and their number: of ``SLICEC.FF1`` and ``SLICEC_FF1`` 5
    and 1, of ``lc3`` and ``LUT3`` 3 and 1, of ``CPE_FF_L`` 4 and 4."""
    if half := re.fullmatch(r"CPE_\w+_(U|L|FULL)", place):
        return {"U": (0, 4), "L": (4, 4), "FULL": (0, 8)}[half[1]]
    found = re.match(r"SLICE([A-D])[._]", place)
    return (2 * SLICES.index(found[1]) if found else 0) + int(place[-1]) % TILE, 1


def _number(place: str) -> int:
    """Of ``spram_1`` 1; of ``MULT9X913``, macro 1 and multiplier 3 of four, 7."""
    if found := re.fullmatch(r"MULT(9X9|18X18)(\d)(\d)", place):
        return int(found[2]) * (4 if found[1] == "9X9" else 2) + int(found[3])
    found = re.search(r"(\d+)$", place)
    return int(found[1]) if found else 0
