"""The floor of a bitstream: places of cells, blocks, drawing, critical path."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from builders.floor_samples import RECORDED, kept_result, written

from kaniwa.boards.board import BOARDS, load_board
from kaniwa.boards.floor import sites as sites_module
from kaniwa.boards.floor.blocks import block_names, group_blocks
from kaniwa.boards.floor.devices import GRIDS, find_grid
from kaniwa.boards.floor.drawing import label_place, merge, path_data, polyline
from kaniwa.boards.floor.page import floor_page
from kaniwa.boards.floor.path import read_hops, read_parts
from kaniwa.boards.floor.placement import (
    PLACEMENT,
    Site,
    keep_placement,
    load_placement,
    read_sites,
    written_netlist,
)
from kaniwa.boards.floor.sites import KINDS, TILE, Box, find_kind, site_box
from kaniwa.boards.floor.view import OTHER, make_view
from kaniwa.boards.flow.build import REPORT, TOP
from kaniwa.boards.flow.timing import critical_steps, load_report
from kaniwa.errors import BuildError

FAMILIES = ("ecp5", "ice40", "gowin", "nexus", "gatemate")


@pytest.mark.parametrize("family", FAMILIES)
def test_each_placed_cell_is_read(family: str) -> None:
    sites = read_sites(RECORDED / f"{family}_placed.json", TOP)
    cells = written(family)
    assert {site.cell: site.type for site in sites} == {
        name: cell["type"] for name, cell in cells.items()}
    separator = "" if family in ("gowin", "gatemate") else "/"
    assert {f"X{site.x}{separator}Y{site.y}/{site.place}" for site in sites} == {
        cell["attributes"]["NEXTPNR_BEL"] for cell in cells.values()}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_kept_is_what_was_read(family: str, tmp_path: Path) -> None:
    source, kept = RECORDED / f"{family}_placed.json", tmp_path / PLACEMENT
    keep_placement(source, kept, TOP)
    assert sorted(load_placement(kept), key=str) == sorted(read_sites(source, TOP), key=str)
    assert kept.stat().st_size < source.stat().st_size


@pytest.mark.parametrize("family", FAMILIES)
def test_cells_by_block_add_up_to_the_use_that_nextpnr_reports(family: str,
                                                               tmp_path: Path) -> None:
    view = make_view(kept_result(family, tmp_path))
    total: Counter[str] = Counter()
    for block in view.blocks:
        total.update(block.cells)
    kinds = {kind.bel for kind in KINDS[family]}
    assert {bel: count for bel, count in total.items() if bel != OTHER} == {
        bel: used for bel, (used, _) in view.resources.items() if bel in kinds}
    assert {column.key: column.used for column in view.columns} == {
        bel: count for bel, count in total.items() if bel != OTHER}
    assert view.cells == len(written(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_site_lies_on_the_device_and_none_on_another(family: str, tmp_path: Path) -> None:
    built = kept_result(family, tmp_path)
    sites = load_placement(tmp_path / PLACEMENT)
    grid = find_grid(built.board.device, sites)
    seen: Counter[tuple[int, int]] = Counter()
    for site in sites:
        kind = find_kind(family, site)
        box = site_box(site, kind, grid)
        if box is None or kind is None:
            continue
        assert 0 <= box.x and box.x + box.width <= grid.width * TILE
        assert 0 <= box.y and box.y + box.height <= grid.height * TILE
        if family == "nexus" and kind.tiles:
            continue    # blocks that share their tile with logic
        seen.update((x, y) for x in range(box.x, box.x + box.width)
                    for y in range(box.y, box.y + box.height))
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("family, kind", [
    ("ecp5", "dsp"), ("ice40", "dsp"), ("ice40", "bram"), ("gowin", "dsp"), ("nexus", "bram"),
    ("nexus", "dsp"), ("gatemate", "bram")])
def test_block_rams_and_multipliers_lie_in_their_rows_or_columns(family: str, kind: str,
                                                                 tmp_path: Path) -> None:
    built = kept_result(family, tmp_path)
    sites = load_placement(tmp_path / PLACEMENT)
    grid = find_grid(built.board.device, sites)
    title = {"bram": "block RAM", "dsp": "multipliers"}[kind]
    found = [site for site in sites
             if (of := find_kind(family, site)) is not None and of.title.startswith(title)]
    assert found
    for site in found:
        assert any(band.kind == kind and band.x <= site.x < band.x + band.width
                   and band.y <= site.y < band.y + band.height for band in grid.bands)


@pytest.mark.parametrize("board", BOARDS)
def test_the_grid_of_each_board_is_known(board: str) -> None:
    chosen = load_board(board)
    grid = find_grid(chosen.device, ())
    assert grid.known and grid in GRIDS.values()
    assert {band.kind for band in grid.bands} == {"bram", "dsp"} & chosen.capacity.keys()
    for band in grid.bands:
        assert band.x + band.width <= grid.width and band.y + band.height <= grid.height


def test_an_unknown_device_ends_at_its_last_used_site() -> None:
    grid = find_grid(("--other",), [Site("a", "LUT4", 3, 7, "LUT0"), Site("b", "LUT4", 9, 2, "")])
    assert (grid.width, grid.height, grid.bands, grid.known) == (10, 8, (), False)


@pytest.mark.parametrize("family, kind, place, box", [
    ("ecp5", "TRELLIS_COMB", "SLICEC.F1", Box(16, 29, 4, 1)),
    ("ecp5", "TRELLIS_FF", "SLICEA.FF0", Box(20, 24, 4, 1)),
    ("ecp5", "DP16KD", "EBR0", Box(16, 24, 16, 8)),
    ("ecp5", "EHXPLLL", "EHXPLL_LL", Box(17, 25, 6, 6)),
    ("ice40", "ICESTORM_LC", "lc3", Box(16, 227, 8, 1)),
    ("ice40", "ICESTORM_RAM", "ram", Box(16, 216, 8, 16)),
    ("gowin", "LUT3", "LUT7", Box(16, 31, 4, 1)),
    ("gowin", "DFFRE", "DFF5", Box(20, 29, 4, 1)),
    ("gowin", "DPX9B", "BSRAM", Box(16, 24, 24, 8)),
    ("gowin", "MULT18X18", "MULT18X1811", Box(70, 24, 18, 8)),
    ("gowin", "MULT9X9", "MULT9X900", Box(16, 24, 9, 8)),
    ("nexus", "OXIDE_COMB", "SLICEC_LUT1", Box(16, 29, 4, 1)),
    ("nexus", "OXIDE_EBR", "EBR2", Box(16, 24, 8, 8)),
    ("nexus", "MULT9_CORE", "MULT9_L3", Box(20, 24, 4, 8)),
    ("gatemate", "CPE_FF", "CPE_FF_L", Box(20, 1044, 4, 4)),
    ("gatemate", "CPE_ADDF2", "CPE_LT_FULL", Box(16, 1040, 4, 8)),
    ("gatemate", "RAM", "RAM", Box(16, 920, 8, 128)),
])
def test_a_site_fills_its_part_of_the_tile(family: str, kind: str, place: str, box: Box) -> None:
    device = {"ecp5": "--85k", "ice40": "--up5k", "gowin": "GW2A-LV18PG256C8/I7",
              "nexus": "LIFCL-40-9BG400C", "gatemate": "CCGM1A1"}[family]
    site = Site("cell", kind, 2, 3, place)
    assert site_box(site, find_kind(family, site), GRIDS[device]) == box


@pytest.mark.parametrize("family, kind", [("gowin", "MUX2_LUT6"), ("gowin", "GOWIN_VCC"),
                                          ("gowin", "RAM16SDP4"), ("ecp5", "TRELLIS_RAMW"),
                                          ("nexus", "MULT18_CORE"), ("gatemate", "CPE_BRIDGE")])
def test_what_is_no_place_of_its_own_is_not_drawn(family: str, kind: str) -> None:
    site = Site("cell", kind, 2, 3, "MUX1")
    assert site_box(site, find_kind(family, site), GRIDS["--85k"]) is None


def test_each_family_says_what_its_drawing_lacks() -> None:
    assert set(sites_module.LACKS) == set(KINDS) == set(FAMILIES)


def test_small_parts_stay_with_their_block_and_lanes_together() -> None:
    paths = ["post"] * 40 + ["post.requantizer.multiplier"] * 30 + ["post.store"] * 2
    paths += ["mac_array.multiplier_0"] * 30 + ["mac_array.multiplier_1"] * 30 + ["weights$145"]
    paths += ["load_queue", "store_queue.fifo", "pin_uart_0__tx.buf"]
    assert group_blocks(paths) == {
        "post": "post", "post.requantizer.multiplier": "post.requantizer", "post.store": "post",
        "mac_array.multiplier_0": "mac_array", "mac_array.multiplier_1": "mac_array",
        "weights$145": "weights", "load_queue": "queues", "store_queue.fifo": "queues",
        "pin_uart_0__tx.buf": "pins"}
    assert block_names(["post", "post.requantizer", "load", "line_buffer"]) == {
        "post": "post unit, the rest", "post.requantizer": "requantizer", "load": "load DMA",
        "line_buffer": "line buffer"}


def test_neighbouring_sites_are_one_rectangle() -> None:
    tile = [Box(0, y, 4, 1) for y in range(8)] + [Box(4, y, 4, 1) for y in range(8)]
    assert merge([*tile, Box(40, 3, 4, 1), tile[0]]) == [Box(0, 0, 8, 8), Box(40, 3, 4, 1)]
    assert path_data([Box(8, 16, 8, 2), Box(4, 20, 1, 3)]) == "m8 16h8v2h-8zm-4 4h1v3h-1z"


def test_merging_keeps_the_area() -> None:
    boxes = [Box(x * 4, y, 4, 1) for x in range(12) for y in range(24) if (x * 7 + y * 3) % 5]
    merged = merge(boxes)
    assert len(merged) < len(boxes)
    assert sum(box.width * box.height for box in merged) == sum(box.width for box in boxes)


def test_the_number_of_a_block_stands_on_the_block() -> None:
    boxes = [Box(0, 0, 8, 8), Box(80, 80, 8, 8), Box(88, 80, 8, 8), Box(96, 80, 8, 8)]
    assert label_place(boxes) == (92, 84)


def test_a_line_has_no_point_twice_in_a_row() -> None:
    assert polyline([(1, 2), (1, 2), (3, 4), (1, 2)]) == "1,2 3,4 1,2"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_hops_add_up_to_the_clock(family: str, tmp_path: Path) -> None:
    built = kept_result(family, tmp_path)
    view = make_view(built)
    assert view.hops[-1].total == pytest.approx(1e3 / built.timings[1].mhz, rel=2e-3)
    assert sum(hop.logic + hop.routing for hop in view.hops) == pytest.approx(view.hops[-1].total)
    parts = read_parts(view.hops)
    assert sum(part.cells for part in parts) == len(view.hops)
    assert parts[-1].total == view.hops[-1].total
    assert all(before.block != after.block for before, after in zip(parts, parts[1:], strict=False))


def test_the_hops_are_the_cells_of_the_path_in_order(tmp_path: Path) -> None:
    built = kept_result("ice40", tmp_path)
    steps = critical_steps(load_report(tmp_path / REPORT))
    hops = read_hops(steps, built.netlist.block)
    cells = list(dict.fromkeys(step["to"]["cell"] for step in steps))
    assert [hop.cell for hop in hops] == cells
    assert hops[0].logic == pytest.approx(steps[0]["delay"])
    assert hops[0].routing == pytest.approx(steps[1]["delay"])


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"fmax": {}}', "null", "\x00"])
def test_a_damaged_report_is_told_in_a_line(text: str, tmp_path: Path) -> None:
    built = kept_result("ice40", tmp_path)
    (tmp_path / REPORT).write_text(text)
    with pytest.raises(BuildError, match="report.json: missing or damaged; remove its") as told:
        floor_page(built)
    assert "\n" not in str(told.value)


def test_a_missing_report_is_told_in_a_line(tmp_path: Path) -> None:
    built = kept_result("ice40", tmp_path)
    (tmp_path / REPORT).unlink()
    with pytest.raises(BuildError, match="report.json: missing or damaged"):
        floor_page(built)


STEP = {"type": "logic", "delay": 1, "from": {"cell": "a", "loc": [1, 2]},
        "to": {"cell": "a", "loc": [1, 2]}}


@pytest.mark.parametrize("part, damaged", [
    ("utilization", {"LUT4": {"used": "many", "available": 1}}),
    ("utilization", {"LUT4": 3}),
    ("fmax", {"clk": {"achieved": 1, "constraint": None}}),
    ("fmax", {"clk": {"achieved": 1, "constraint": 0}}),
    ("critical_paths", [{"from": "a", "to": None, "path": []}]),
    ("critical_paths", [{"from": "a", "to": "b", "path": [{**STEP, "delay": "1"}]}]),
    ("critical_paths", [{"from": "a", "to": "b", "path": [{**STEP, "to": {"cell": "a"}}]}]),
    ("critical_paths", [{"from": "a", "to": "b", "path": [
        {**STEP, "to": {"cell": "a", "loc": [1]}}]}]),
])
def test_a_report_with_damaged_values_is_told_in_a_line(part: str, damaged: object,
                                                        tmp_path: Path) -> None:
    built = kept_result("ice40", tmp_path)
    report = json.loads((tmp_path / REPORT).read_text())
    (tmp_path / REPORT).write_text(json.dumps(report | {part: damaged}))
    with pytest.raises(BuildError, match="report.json: missing or damaged; remove its folder"):
        floor_page(built)


@pytest.mark.parametrize("text", [
    "", "{}", '{"format": "kaniwa.placement", "version": 2, "cells": {}}', "[]",
    '{"format": "kaniwa.placement", "version": 1, "cells": {"LUT4": [["a", 1]]}}'])
def test_a_damaged_placement_is_told_in_a_line(text: str, tmp_path: Path) -> None:
    built = kept_result("ice40", tmp_path)
    (tmp_path / PLACEMENT).write_text(text)
    with pytest.raises(BuildError, match=r"placement.json: damaged, or of another version; "):
        floor_page(built)


@pytest.mark.parametrize("text", [
    "", "{}", '{"modules": {"top": {"cells": {"a": {"type": "LUT4", "attributes": {}}}}}}',
    '{"modules": {"top": {"cells": {"a": {"type": "LUT4", "attributes": {"NEXTPNR_BEL": "7"}}}}}}'])
def test_a_netlist_without_places_is_told_in_a_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "placed.json"
    path.write_text(text)
    with pytest.raises(BuildError, match="placed.json: no netlist with the place of each cell; "):
        read_sites(path, TOP)


def test_the_netlist_that_a_family_writes_is_found_in_its_arguments() -> None:
    assert written_netlist(("--write", "top.pnr.json", "--seed", "1")) == "top.pnr.json"
    assert written_netlist(("--seed", "1")) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_has_each_block_with_its_name_and_nothing_from_elsewhere(family: str,
                                                                          tmp_path: Path) -> None:
    built = kept_result(family, tmp_path)
    view, page = make_view(built), floor_page(built)
    for block in view.blocks:
        assert page.count(f'data-title="{block.title}"') == 1
    assert len(re.findall(r'<g class="block', page)) == sum(1 for b in view.blocks if b.path)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<link[^>]*href=\"(?!data:)|@import",
                         page)
    assert "role=\"img\"" in page and "aria-labelledby=\"plan-title plan-text\"" in page


def test_names_are_escaped(tmp_path: Path) -> None:
    built = kept_result("ecp5", tmp_path)
    kept = json.loads((tmp_path / PLACEMENT).read_text())
    evil = "<script>alert('x\"&')</script>"
    kept["cells"]["TRELLIS_FF"][0][0] = f"{evil}.cell"
    (tmp_path / PLACEMENT).write_text(json.dumps(kept))
    report = json.loads((tmp_path / REPORT).read_text())
    path = report["critical_paths"][0]["path"]
    path[0]["from"]["cell"] = path[0]["to"]["cell"] = path[1]["from"]["cell"] = f"{evil}.cell"
    clock = next(iter(report["fmax"]))
    report["fmax"][f"{clock}<b>"] = dict(report["fmax"][clock], constraint=1)
    (tmp_path / REPORT).write_text(json.dumps(report))
    page = floor_page(built)
    assert "<script>alert" not in page and "<b>" not in page
    assert "&lt;script&gt;alert(&#39;x&#34;&amp;&#39;)&lt;/script&gt;" in page


def test_a_result_that_was_kept_before_placements_has_a_page_that_says_so(tmp_path: Path) -> None:
    built = kept_result("ice40", tmp_path)
    (tmp_path / PLACEMENT).unlink()
    page = floor_page(built)
    assert ("kaniwa bitstream --board icebreaker --target nano --seeds 1 --clock-mhz 20.25 "
            "--page FILE.html") in page
    assert "The blocks are not drawn" in page and '<g class="block' not in page
    assert "<polyline" in page and "Cells of each block behind synthesis" in page


def test_a_report_without_a_path_has_a_page_that_says_so(tmp_path: Path) -> None:
    built = kept_result("ice40", tmp_path)
    report = json.loads((tmp_path / REPORT).read_text())
    (tmp_path / REPORT).write_text(json.dumps(report | {"critical_paths": []}))
    page = floor_page(built)
    assert "has no path between registers of one clock" in page and "<polyline" not in page


def test_the_page_of_a_full_85k_device_is_small(tmp_path: Path) -> None:
    """All LUTs and flip-flops of it, with a third of them in another block than their neighbour."""
    built = kept_result("ecp5", tmp_path)
    built = type(built)(**(vars(built) | {"board": load_board("ulx3s_85f")}))
    blocks = ("mac_array", "post", "load", "weights", "line_buffer")
    cells: dict[str, list[list[object]]] = {"TRELLIS_COMB": [], "TRELLIS_FF": []}
    for x in range(1, 125):
        for y in range(1, 94):
            for z in range(8):
                place = f"SLICE{'ABCD'[z // 2]}"
                block = blocks[(x // 9 + y // 7 + (z * x * 31 + y * 17) % 3 // 2) % len(blocks)]
                for kind, name in (("TRELLIS_COMB", "F"), ("TRELLIS_FF", "FF")):
                    cells[kind].append(
                        [f"accelerator.core.datapath.{block}.{kind}{x}_{y}_{z}", x, y,
                         f"{place}.{name}{z % 2}"])
    (tmp_path / PLACEMENT).write_text(json.dumps(
        {"format": "kaniwa.placement", "version": 1, "cells": cells}))
    size = len(floor_page(built).encode())
    assert 100_000 < size < 3_000_000
