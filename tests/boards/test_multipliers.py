"""The top of each board has the multipliers of its FPGA, as many as it should."""

from __future__ import annotations

import re

import pytest

from kaniwa.boards.board import BOARDS, load_board
from kaniwa.boards.build import TOP, design_files

# (board, target) -> cells of the kind that the family multiplies with: of the array, of the
# requantizer (two a lane), and of MUL (one a lane, where blocks are left for it).
EXPECTED = {
    ("ulx3s_85f", "base"): {"MULT18X18D": 128 + 16, "product": 8},
    ("ulx3s_85f", "large"): {"MULT18X18D": 128 + 16, "product": 0},
    ("ulx3s_25f", "small"): {"MULT18X18D": 16 + 4, "product": 0},
    ("icebreaker", "nano"): {"SB_MAC16": 8, "product": 0},
    ("tang_primer_20k", "tang_primer_20k"): {"product": 32 + 4 + 2},
}


def test_every_target_of_every_board_is_expected() -> None:
    assert set(EXPECTED) == {(name, target) for name in BOARDS
                             for target in load_board(name).targets}


@pytest.mark.parametrize(("name", "target"), EXPECTED)
def test_a_board_has_the_multipliers_of_its_family(name: str, target: str) -> None:
    board = load_board(name)
    text = design_files(board, board.config(target), board.clock_mhz(target))[f"{TOP}.il"]
    cells = re.findall(r"^ *cell \\?(\S+) ", text, re.MULTILINE)
    # What Amaranth makes of an index into words is a $mul too, but not of signed numbers.
    cells += ["product"] * len(re.findall(r"cell \$mul .*\n *parameter .A_SIGNED 1", text))
    assert {kind: cells.count(kind) for kind in EXPECTED[name, target]} == EXPECTED[name, target]
