"""Values of the floor page: blocks with their sites, occupancy, clocks and critical path."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from kaniwa.boards.floor.blocks import BY_NEXTPNR, block_names, group_blocks
from kaniwa.boards.floor.devices import Grid, find_grid
from kaniwa.boards.floor.drawing import label_place, merge, path_data, polyline
from kaniwa.boards.floor.path import Hop, read_hops
from kaniwa.boards.floor.placement import PLACEMENT, Site, load_placement
from kaniwa.boards.floor.sites import KINDS, TILE, Box, find_kind, site_box
from kaniwa.boards.flow.build import REPORT, Bitstream
from kaniwa.boards.flow.timing import critical_steps, load_report
from kaniwa.boards.flow.utilization import Netlist

__all__ = ["OTHER", "Block", "Column", "View", "make_view", "size"]

OTHER = "other"     # cells of no kind of their own: pins, clock buffers, the PLL
COLOURS = 9         # blocks with a colour of their own; the others are grey


@dataclass(frozen=True)
class Block:
    """A block of the floor: its cells by kind, and its sites as a path of the drawing.

    ``colour``: its number in the palette, from 1; 0 for grey. ``label``: where its number stands.
    """

    number: int
    name: str
    title: str
    colour: int
    cells: Mapping[str, int]
    path: str
    label: tuple[int, int] | None

    @property
    def total(self) -> int:
        return sum(self.cells.values())


@dataclass(frozen=True)
class Column:
    """A kind of sites in the table of occupancy. ``used``: by nextpnr's own count."""

    key: str
    title: str
    used: int
    available: int


@dataclass(frozen=True)
class View:
    """All that the page shows of nextpnr's data. ``placed``: the place of each cell is known."""

    placed: bool
    grid: Grid
    blocks: tuple[Block, ...]
    columns: tuple[Column, ...]
    resources: Mapping[str, tuple[int, int]]
    clocks: Mapping[str, tuple[float, float]]
    hops: tuple[Hop, ...]
    line: str
    ends: tuple[tuple[int, int], ...]

    @property
    def cells(self) -> int:
        """All placed cells."""
        return sum(block.total for block in self.blocks)


def make_view(built: Bitstream) -> View:
    """The view of the seed whose bitstream was kept."""
    report = load_report(built.folder / REPORT)
    kept = built.folder / PLACEMENT
    sites = load_placement(kept) if kept.exists() else []
    grid = find_grid(built.board.device, sites)
    shown = _shown_blocks(sites, built.netlist)
    places = {site.cell: site for site in sites}
    hops = read_hops(critical_steps(report), lambda cell: _hop_block(cell, shown, built.netlist))
    points = [_point(places.get(hop.cell), hop, grid, built.board.family) for hop in hops]
    resources = {name: (values["used"], values["available"])
                 for name, values in report["utilization"].items()}
    clocks = {name: (clock["achieved"], clock["constraint"])
              for name, clock in report["fmax"].items()}
    return View(kept.exists(), grid, _blocks(sites, shown, grid, built.board.family),
                _columns(built.board.family, resources), resources, clocks, tuple(hops),
                polyline(points), (points[0], points[-1]) if points else ())


def _shown_blocks(sites: list[Site], netlist: Netlist) -> dict[str, str]:
    """The block that each placed cell is shown in."""
    paths = {site.cell: _path(site.cell, netlist) for site in sites}
    groups = group_blocks(paths.values())
    return {cell: groups[path] for cell, path in paths.items()}


def _path(cell: str, netlist: Netlist) -> str:
    """The path of a cell's block; a cell that is nextpnr's own is in none of the design."""
    path = netlist.block(cell)
    return BY_NEXTPNR if path == "top" and cell.startswith("$") else path


def _hop_block(cell: str, shown: Mapping[str, str], netlist: Netlist) -> str:
    """The title of the block of a cell on the critical path."""
    block = shown.get(cell) or next(iter(group_blocks([_path(cell, netlist)]).values()))
    return block_names([block])[block]


def _point(site: Site | None, hop: Hop, grid: Grid, family: str) -> tuple[int, int]:
    """The middle of a cell's site, or of its tile where only that is known."""
    box = site_box(site, find_kind(family, site), grid) if site else None
    if box is None:
        box = site_box(Site(hop.cell, "", hop.x, hop.y, ""), None, grid)
    assert box is not None
    return box.x + box.width // 2, box.y + box.height // 2


def _blocks(sites: list[Site], shown: Mapping[str, str], grid: Grid,
            family: str) -> tuple[Block, ...]:
    cells: defaultdict[str, Counter[str]] = defaultdict(Counter)
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for site in sites:
        kind = find_kind(family, site)
        cells[shown[site.cell]][kind.bel if kind else OTHER] += 1
        box = site_box(site, kind, grid)
        if box is not None:
            boxes[shown[site.cell]].append(box)
    names = block_names(cells)
    largest = sorted(cells, key=lambda block: (-cells[block].total(), block))
    blocks = []
    for number, block in enumerate(largest, 1):
        merged = merge(boxes[block])
        blocks.append(Block(
            number, block, names[block], number if number <= COLOURS else 0,
            cells[block], path_data(merged), label_place(merged) if merged else None))
    return tuple(blocks)


def _columns(family: str, resources: Mapping[str, tuple[int, int]]) -> tuple[Column, ...]:
    """The kinds of which the design uses some."""
    return tuple(Column(kind.bel, kind.title, *resources[kind.bel]) for kind in KINDS[family]
                 if resources.get(kind.bel, (0, 0))[0])


def size(grid: Grid) -> tuple[int, int]:
    """Width and height of the drawing."""
    return grid.width * TILE, grid.height * TILE
