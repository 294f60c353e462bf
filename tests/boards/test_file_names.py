"""Builds that are not a board's usual one have files of their own."""

from pathlib import Path

import pytest

from kaniwa.boards.board import Board, file_stem, load_board
from kaniwa.boards.flow.program import find_bitstream
from kaniwa.errors import DeviceError

ICEBREAKER, ULX3S = load_board("icebreaker"), load_board("ulx3s_25f")


@pytest.mark.parametrize("board, target, suffix, named, option", [
    (ICEBREAKER.with_link("spi"), "nano", "bin", "spi", "--link spi"),
    (ULX3S.with_link("usb"), "small", "bit", "usb", "--link usb"),
    (ULX3S.with_baud(10_000_000), "small", "bit", "10000000baud", "--baud 10000000")])
def test_a_build_of_another_kind_has_files_of_its_own(
        board: Board, target: str, suffix: str, named: str, option: str, tmp_path: Path) -> None:
    usual = f"{board.name}-{target}"
    assert file_stem(load_board(board.name), target) == usual
    assert file_stem(board, target) == f"{usual}-{named}"
    (tmp_path / f"{usual}.{suffix}").touch()
    assert find_bitstream(load_board(board.name), None, tmp_path)
    with pytest.raises(DeviceError) as caught:
        find_bitstream(board, None, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/{usual}-{named}.{suffix}: no such bitstream; kaniwa bitstream "
        f"--board {board.name} {option} builds it")


def test_cores_come_before_the_line() -> None:
    board = load_board("ulx3s_85f").with_link("spi")
    assert file_stem(board, "half.toml", 2) == "ulx3s_85f-half-2cores-spi"


def test_no_baud_is_the_boards_own() -> None:
    assert ULX3S.with_baud(None) is ULX3S
