"""Bitstreams of another baud than the board's: design, names of files, what is refused."""


import pytest

from kaniwa import cli
from kaniwa.boards.board import load_board
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.errors import ConfigError
from kaniwa.sim.worlds.serial_config import TINY

BOARD = load_board("ulx3s_25f")


def test_the_design_has_the_baud_and_its_pace() -> None:
    other = BOARD.with_baud(10_000_000)
    assert (BOARD.pace, other.pace) == (300_000, 1_000_000)
    asked = design_files(other, TINY, 80.0)[f"{TOP}.il"]
    assert asked == design_files(BOARD, TINY, 80.0, baud=10_000_000)[f"{TOP}.il"]
    assert asked != design_files(BOARD, TINY, 80.0)[f"{TOP}.il"]


def test_more_than_a_fifth_of_the_clock_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"baud must be 1..clock / 5 = 16000000, not 17000000"):
        design_files(BOARD.with_baud(17_000_000), TINY, 80.0)


@pytest.mark.parametrize("arguments", [
    ["--board", "ecpix5_85f"], ["--board", "icebreaker", "--link", "spi"],
    ["--board", "ulx3s_25f", "--link", "usb"], ["--board", "orangecrab_25f"]])
def test_boards_without_a_uart_take_no_baud(arguments: list[str],
                                            capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bitstream", *arguments, "--baud", "115200"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        f"kaniwa: {arguments[1]} is not reached by a UART here, so it takes no baud\n")
