"""The top of each board has the multipliers of its FPGA, as many as it should."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from amaranth.back import rtlil

from kaniwa.benchmark.dsp_blocks import dsp_blocks
from kaniwa.boards.board import BOARDS, load_board
from kaniwa.boards.families.family import load_family
from kaniwa.boards.flow import tools
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.config import PRESETS
from kaniwa.hw.verilog import ports

# (board, target) -> cells of the kind that the family multiplies with: of the array, of the
# requantizer (two a lane), of a cell unit (three), and of MUL (one a lane, where blocks are left
# for it).
EXPECTED = {
    ("ulx3s_85f", "base"): {"MULT18X18D": 128 + 16, "product": 8},
    ("ulx3s_85f", "large"): {"MULT18X18D": 128 + 16, "product": 0},
    ("ulx3s_85f", "base_vector"): {"MULT18X18D": 128 + 16, "product": 8},
    ("ulx3s_85f", "base_recurrent"): {"MULT18X18D": 128 + 16 + 3, "product": 8},
    ("ulx3s_85f_sdram", "base"): {"MULT18X18D": 128 + 16, "product": 8},
    ("ulx3s_25f_sdram", "small"): {"MULT18X18D": 16 + 4, "product": 0},
    ("ulx3s_25f", "small"): {"MULT18X18D": 16 + 4, "product": 0},
    ("colorlight_i5", "small"): {"MULT18X18D": 16 + 4, "product": 0},
    ("colorlight_i5_sdram", "small"): {"MULT18X18D": 16 + 4, "product": 0},
    ("colorlight_eth", "small"): {"MULT18X18D": 16 + 4, "product": 0},
    ("orangecrab_25f", "small"): {"MULT18X18D": 16 + 4, "product": 0},
    ("ecpix5_85f", "base"): {"MULT18X18D": 128 + 16, "product": 8},
    ("ecpix5_85f_ddr3", "small_ddr3"): {"MULT18X18D": 16 + 4, "product": 0},
    ("ecpix5_85f_ddr3", "base"): {"MULT18X18D": 128 + 16, "product": 8},
    ("orangecrab_85f_ddr3", "small_ddr3"): {"MULT18X18D": 16 + 4, "product": 0},
    ("orangecrab_85f_ddr3", "base"): {"MULT18X18D": 128 + 16, "product": 8},
    ("icebreaker", "nano"): {"SB_MAC16": 8, "product": 0},
    ("tang_primer_20k", "tang_primer_20k"): {"product": 16},
    ("tang_nano_20k", "nano_64k"): {"product": 16},
    ("tang_nano_20k_sdram", "nano_64k_sdram"): {"product": 16},
    ("tang_nano_9k", "nano_32k"): {"product": 16},
    ("crosslink_nx", "nano"): {"product": 16},
    ("gatemate_a1_evb", "nano_64k"): {"product": 16},
}

# Tops of the same array on the same FPGA, which take long to make: of these `make test` has `base`.
LONG = {("ulx3s_85f", "large"), ("ulx3s_85f", "base_vector"), ("ulx3s_85f_sdram", "base"),
        ("ecpix5_85f_ddr3", "base"), ("orangecrab_85f_ddr3", "base")}


def test_every_target_of_every_board_is_expected() -> None:
    assert set(EXPECTED) == {(name, target) for name in BOARDS
                             for target in load_board(name).targets}


@pytest.mark.parametrize(("name", "target"), [
    pytest.param(*case, marks=[pytest.mark.long] if case in LONG else []) for case in EXPECTED])
def test_a_board_has_the_multipliers_of_its_family(name: str, target: str) -> None:
    board = load_board(name)
    text = design_files(board, board.config(target), board.clock_mhz(target))[f"{TOP}.il"]
    cells = re.findall(r"^ *cell \\?(\S+) ", text, re.MULTILINE)
    # What Amaranth makes of an index into words is a $mul too, but not of signed numbers.
    cells += ["product"] * len(re.findall(r"cell \$mul .*\n *parameter .A_SIGNED 1", text))
    assert {kind: cells.count(kind) for kind in EXPECTED[name, target]} == EXPECTED[name, target]


def test_blocks_of_ice40_have_their_clock_after_synthesis(tmp_path: Path) -> None:
    """yosys has a pass for inferred blocks that takes it off others."""
    config, flow = PRESETS["nano"], load_family("ice40")
    block = flow.multiplier(config)(4, 1, 3)
    (tmp_path / f"{TOP}.il").write_text(
        rtlil.convert(block, name=TOP, ports=ports(block), emit_src=False))
    (tmp_path / "synth.ys").write_text("\n".join([
        f"read_rtlil {TOP}.il", *flow.synthesis(TOP, config, ()), f"write_json {TOP}.json"]))
    status = tools.run(tools.yosys_command("synth.ys"), tmp_path, tmp_path / "yosys.log")
    assert status == 0, (tmp_path / "yosys.log").read_text()[-2000:]
    module = json.loads((tmp_path / f"{TOP}.json").read_text())["modules"][TOP]
    blocks = [cell["connections"] for cell in module["cells"].values()
              if cell["type"] == "SB_MAC16"]
    assert [bits["CLK"] for bits in blocks] == 2 * [module["ports"]["clk"]["bits"]]


@pytest.mark.parametrize(("name", "target"), [key for key in EXPECTED if "ulx3s" in key[0]])
def test_blocks_of_a_config_are_those_of_its_top(name: str, target: str) -> None:
    blocks = dsp_blocks(load_board(name).config(target))
    assert blocks == sum(EXPECTED[name, target].values())


def test_large_leaves_blocks_of_the_board() -> None:
    assert dsp_blocks(load_board("ulx3s_85f").config("large")) <= 150
