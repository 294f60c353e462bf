"""Boards that a host reaches over USB: pins, clocks, pace, names of files, what is refused."""

import re
import sys

import pytest

from kaniwa import cli
from kaniwa.boards.board import BOARDS, USB_PACE, load_board
from kaniwa.boards.families.ecp5_pll import Ecp5UsbPll
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.errors import BuildError, ConfigError, InputError
from kaniwa.sim.worlds.serial_config import TINY

ABLE = [name for name in BOARDS if load_board(name).usb is not None]
BOARD = load_board("ulx3s_25f").with_link("usb")


def test_boards_with_pins_for_usb() -> None:
    assert ABLE == ["orangecrab_25f", "orangecrab_85f_ddr3", "ulx3s_25f", "ulx3s_25f_sdram",
                    "ulx3s_85f", "ulx3s_85f_sdram"]


@pytest.mark.parametrize("name, sites", [
    ("ulx3s_25f", ("D15", "E15", "B12")), ("ulx3s_85f", ("D15", "E15", "B12")),
    ("orangecrab_25f", ("N1", "M2", "N2"))])
def test_the_design_stands_between_the_core_and_three_pins(name: str, sites: tuple[str, ...]
                                                           ) -> None:
    board = load_board(name).with_link("usb")
    files = design_files(board, TINY, board.clock_mhz(""))
    modules = set(re.findall(r"^module \\top\.(\w+)$", files[f"{TOP}.il"], re.MULTILINE))
    assert "usb" in modules and "uart" not in modules
    for pin, site in zip(("d_p", "d_n", "pullup"), sites, strict=True):
        assert f'LOCATE COMP "usb_0__{pin}__io" SITE "{site}"' in files[f"{TOP}.lpf"]
    assert "uart" not in files[f"{TOP}.lpf"]


def test_a_board_without_a_uart_is_reached_over_usb_by_itself() -> None:
    board = load_board("orangecrab_25f")
    assert board.by_usb and board.pace == USB_PACE
    assert board.with_link("usb") == board.with_link("own") == board
    with pytest.raises(ConfigError, match="^orangecrab_25f is not reached by a UART here"):
        board.with_baud(115_200)
    with pytest.raises(InputError, match="^orangecrab_25f has no pins for SPI"):
        board.with_link("spi")


def test_two_builds_are_the_same() -> None:
    first, second = (design_files(BOARD, TINY, 80.0) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("mhz, own, divider", [
    (25.0, 120, 5), (12.0, 108, 1), (48.0, 48, 1), (100.0, 108, 25)])
def test_a_pll_of_its_own_makes_48_and_12_mhz(mhz: float, own: int, divider: int) -> None:
    pll = Ecp5UsbPll(mhz * 1e6)
    assert (pll.oscillator / pll.own, pll.divider) == (own, divider)
    assert mhz / pll.divider * pll.feedback == own
    assert 400 <= pll.oscillator <= 800 and pll.oscillator % 48 == 0
    assert mhz / pll.divider >= 3.125


def test_an_oscillator_that_no_dividers_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="^the PLL cannot make 48 MHz of 25.175 MHz: this board "):
        Ecp5UsbPll(25.175e6)


def test_the_pace_is_that_of_the_bus() -> None:
    assert BOARD.pace == load_board("ulx3s_85f").with_link("usb").pace == USB_PACE
    assert BOARD.with_link("own").pace == 300_000


@pytest.mark.parametrize("verb", ["bitstream", "program"])
def test_a_board_without_pins_for_usb_is_refused(verb: str, capsys: pytest.CaptureFixture[str]
                                                 ) -> None:
    with pytest.raises(InputError, match="^ecpix5_85f has no pins for USB: boards with some are "):
        load_board("ecpix5_85f").with_link("usb")
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--board", "icebreaker", "--link", "usb"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == ("kaniwa: icebreaker has no pins for USB: boards with some "
                                       f"are {', '.join(ABLE)}\n")


def test_a_slot_is_not_reached_over_usb() -> None:
    for order in (("with_link", "usb", "with_slot", 1), ("with_slot", 1, "with_link", "usb")):
        board = load_board("ulx3s_25f")
        with pytest.raises(ConfigError, match="not built for USB: leave out --slot or --link usb"):
            for method, value in zip(order[::2], order[1::2], strict=True):
                board = getattr(board, str(method))(value)
    assert BOARD.with_slot(None).by_usb


def test_netlists_are_not_checked_over_usb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["bitstream", "--board", "ulx3s_25f", "--link", "usb", "--check-netlist"])
    assert "checked at the pins of a UART, which ulx3s_25f does not use" in capsys.readouterr().err


def test_without_luna_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "luna"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "luna", None)
    with pytest.raises(BuildError, match="^a board behind USB needs luna-usb: pip install "):
        design_files(BOARD, TINY, 80.0)
