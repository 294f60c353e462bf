"""What a config takes: exact counts beside netlists, and fitted models beside points left out."""

import dataclasses
import json
from pathlib import Path

import pytest

from kaniwa.boards.board import load_board
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.errors import InputError, UnsupportedError
from kaniwa.explore.area import area_model, fit_area
from kaniwa.explore.beside import ALONE, beside
from kaniwa.explore.clock import clock_model, fit_clock
from kaniwa.explore.held_back import held_back
from kaniwa.explore.memories import Ram, block_rams, exact_counts
from kaniwa.explore.points import (
    Point,
    known_points,
    load_points,
    point_of_report,
    points_text,
)

SYNTHESIZED = [point for point in known_points() if point.counts]


def name(point: Point) -> str:
    return f"{point.board}-{point.hash}"


@pytest.mark.parametrize("point", SYNTHESIZED, ids=name)
def test_memories_and_multipliers_are_those_of_the_netlist(point: Point) -> None:
    exact = exact_counts(point.family, point.accelerator, point.neighbors)
    assert exact == {kind: point.counts[kind] for kind in exact}


@pytest.mark.parametrize(("family", "width", "depth", "blocks"), [
    # Made by yosys of a memory of that size, with nothing else around it.
    ("ecp5", 8, 128, 0), ("ecp5", 8, 256, 1), ("ecp5", 64, 32, 0), ("ecp5", 64, 64, 2),
    ("ecp5", 16, 64, 0), ("ecp5", 16, 128, 1), ("ecp5", 144, 64, 4), ("ecp5", 144, 32, 0),
    ("ecp5", 128, 2048, 15)])
def test_a_memory_takes_the_blocks_that_synthesis_gives_it(
        family: str, width: int, depth: int, blocks: int) -> None:
    assert block_rams(family, Ram("a", width, depth)) == blocks


def test_bytes_that_are_written_alone_have_no_parity_bits_to_use() -> None:
    assert block_rams("ecp5", Ram("a", 128, 2048, bytewise=True)) == 16


def test_what_a_parameter_costs_is_seen_by_block() -> None:
    model = area_model("ecp5", compact=False)
    small, more = (model.blocks(dataclasses.replace(PRESETS["small"], out_lanes=lanes))
                   for lanes in (4, 8))
    grown = {block for block in small if more[block]["lut"] > small[block]["lut"]}
    assert "mac_array" in grown and not grown & {"link", "counters", "on_chip_memory"}


def test_sdram_ethernet_and_usb_of_a_board_cost_logic_beside_the_core() -> None:
    model = area_model("ecp5", compact=False)
    alone, sdram, ethernet, usb = (model.cells(PRESETS["small"], one) for one in (
        ALONE, beside(load_board("colorlight_i5_sdram")), beside(load_board("colorlight_eth")),
        beside(load_board("orangecrab_25f"))))
    assert 1700 < usb["lut"] - alone["lut"] < 2100 and usb["bram"] == alone["bram"]
    assert 700 < sdram["lut"] - alone["lut"] < 1300 and sdram["bram"] == alone["bram"]
    assert 1100 < ethernet["lut"] - alone["lut"] < 1700 and ethernet["bram"] == alone["bram"] + 2
    without = fit_area("ecp5", False, [one for one in SYNTHESIZED if not one.beside])
    assert without.beyond(PRESETS["small"], beside(load_board("ulx3s_25f_sdram"))) == "top"


def test_nothing_is_said_of_what_no_point_is_near() -> None:
    """A factor to which no point speaks is 0: a search would take what costs nothing."""
    model = area_model("ecp5", compact=False)
    assert model.beyond(PRESETS["base"]) is None
    assert model.beyond(dataclasses.replace(PRESETS["base"], out_lanes=64)) == "mac_array"
    without, with_cell = (model.cells(dataclasses.replace(PRESETS["base_recurrent"], cell_unit=on))
                          for on in (False, True))
    assert with_cell["lut"] - without["lut"] > 10_000


def test_a_family_without_points_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UnsupportedError, match=r"^no pipelined core was synthesized for ice40: "
                                               r"add a point with tools/add_point.py$"):
        area_model("ice40", compact=False)
    with pytest.raises(UnsupportedError, match="no pipelined core was routed for --up5k"):
        clock_model(load_board("icebreaker").device, compact=False)


def test_a_routed_point_fits_its_own_model() -> None:
    for point in SYNTHESIZED:
        if point.clock_of_seed:
            family, compact = point.family, point.accelerator.compact
            used = fit_area(family, compact, [point]).used(
                point.accelerator, point.neighbors)
            assert abs(used["lut"] / point.placed["lut"] - 1) < 0.02
            mhz = fit_clock(point.device, compact, [point]).mhz(
                point.accelerator, point.placed["lut"])
            assert abs(mhz / min(point.clock_of_seed.values()) - 1) < 0.02


def test_points_that_are_held_back_are_near_what_the_others_say() -> None:
    """The page has each error: docs/howto/explore.md."""
    rows = held_back(known_points())
    assert all(abs(row.lut) <= 0.08 and abs(row.ff) <= 0.08 for row in rows
               if row.lut is not None and row.ff is not None)
    assert all(abs(row.placed) <= 0.08 for row in rows
               if row.placed is not None and not row.point.source)
    clocks = {row.point.device: row.clock for row in rows if row.clock is not None}
    assert len(clocks) >= 3
    assert all(abs(row.clock) <= 0.15 for row in rows if row.clock is not None)


def test_points_are_written_as_they_were_read() -> None:
    from kaniwa.explore.points import POINTS

    assert points_text(known_points()) == POINTS.read_text()


@pytest.mark.parametrize(("text", "said"), [
    ("{", "no file of points"), ("[{}]", "no file of points"), ("[1]", "no file of points")])
def test_a_damaged_file_of_points_is_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InputError, match=said):
        load_points(tmp_path / "p.json")


def test_a_point_whose_config_is_another_is_told(tmp_path: Path) -> None:
    row = SYNTHESIZED[0].as_dict() | {"hash": "0" * 16}
    (tmp_path / "p.json").write_text(json.dumps([row]))
    with pytest.raises(InputError, match="has a config with the hash"):
        load_points(tmp_path / "p.json")


def test_the_report_of_a_build_is_a_point() -> None:
    config = PRESETS["nano"]
    report = {"board": "icebreaker", "config": config.hash, "clock_of_seed": {"1": 22.6},
              "blocks": {"post": {"lut": 900, "bram": 9}, "link": {"lut": 400, "ff": 7}, "pin": {}},
              "totals": {"lut": 1500, "ff": 7, "bram": 9, "spram": 4, "dsp": 8}}
    point = point_of_report(report, config)
    assert point.counts == {"lut": 1300, "ff": 7, "bram": 9, "spram": 0, "dsp": 0}
    assert point.clock_mhz == 22.6 and point.placed["lut"] == 1500
    assert load_points_of(point).accelerator == config
    with pytest.raises(InputError, match="give the target that was built"):
        point_of_report(report, AcceleratorConfig())
    with pytest.raises(InputError, match="no report of kaniwa bitstream"):
        point_of_report({"config": config.hash}, config)


def load_points_of(point: Point) -> Point:
    """The point behind a file."""
    (row,) = json.loads(points_text((point,)))
    return Point(**row)
