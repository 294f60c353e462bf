"""Boards that a host reaches over SPI: pins, pace, names of files, what is refused."""

import re

import pytest

from kaniwa import cli
from kaniwa.boards.board import BOARDS, load_board
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.boards.flow.top import BoardTop
from kaniwa.driver.spi.format import CYCLES_OF_SCK
from kaniwa.errors import InputError
from kaniwa.sim.worlds.serial_config import TINY

ABLE = [name for name in BOARDS if load_board(name).spi is not None]
WHERE = {"icebreaker": ["set_io link_spi_0__cs_n__io 4", "set_io link_spi_0__sck__io 45",
                        "set_io link_spi_0__copi__io 2", "set_io link_spi_0__cipo__io 47"],
         "ulx3s_25f": ['LOCATE COMP "link_spi_0__cs_n__io" SITE "B11"',
                       'LOCATE COMP "link_spi_0__sck__io" SITE "A10"',
                       'LOCATE COMP "link_spi_0__copi__io" SITE "A9"',
                       'LOCATE COMP "link_spi_0__cipo__io" SITE "B9"',
                       'IOBUF PORT "link_spi_0__cs_n__io" IO_TYPE=LVCMOS33 PULLMODE=UP']}


def test_boards_with_pins_for_spi() -> None:
    assert ABLE == ["icebreaker", "ulx3s_25f", "ulx3s_25f_sdram", "ulx3s_85f", "ulx3s_85f_sdram"]


@pytest.mark.parametrize("name", WHERE)
def test_the_design_stands_between_the_core_and_four_pins(name: str) -> None:
    board = load_board(name).with_link("spi")
    files = design_files(board, TINY, board.clock_mhz(""))
    modules = set(re.findall(r"^module \\top\.(\w+)$", files[f"{TOP}.il"], re.MULTILINE))
    assert "spi" in modules and "uart" not in modules
    (constraints,) = (text for file, text in files.items() if file != f"{TOP}.il")
    for line in WHERE[name]:
        assert line in constraints, constraints
    assert "uart" not in constraints
    if name == "icebreaker":     # an attribute of the pin's cell
        assert re.search(r"parameter \\PULLUP (1'1|1|32'0+1)\n", files[f"{TOP}.il"])


@pytest.mark.parametrize("name, pace", [("icebreaker", 421_875), ("ulx3s_25f", 1_666_666)])
def test_the_pace_is_that_of_the_highest_rate(name: str, pace: int) -> None:
    board = load_board(name)
    assert board.with_link("spi").pace == pace
    assert board.pace == board.with_link("own").pace == 300_000
    for mhz in (board.clock_mhz(""), 48.0):     # another clock than the board's, too
        made = BoardTop(board.with_link("spi"), TINY, mhz)
        made._MustUse__silence = True
        assert made._pace == int(mhz * 1e6) // CYCLES_OF_SCK // 8


@pytest.mark.parametrize("verb", ["bitstream", "program"])
def test_a_board_without_pins_for_spi_is_refused(verb: str, capsys: pytest.CaptureFixture[str]
                                                 ) -> None:
    with pytest.raises(InputError, match="^ecpix5_85f has no pins for SPI: boards with some are "):
        load_board("ecpix5_85f").with_link("spi")
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--board", "tang_nano_9k", "--link", "spi"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == ("kaniwa: tang_nano_9k has no pins for SPI: boards with some "
                                       f"are {', '.join(ABLE)}\n")


def test_netlists_are_not_checked_over_spi(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["bitstream", "--board", "icebreaker", "--link", "spi", "--check-netlist"])
    assert "checked at the pins of a UART, which icebreaker does not use" in capsys.readouterr().err
