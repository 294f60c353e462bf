"""Boards with SDRAM: the chip's clock and pads, and what a core must have for it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Fragment

from kaniwa.boards.board import BOARDS, load_board
from kaniwa.boards.families.family import load_family
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.config import PRESETS
from kaniwa.errors import ConfigError
from kaniwa.hw.sdram.controller import SdramController
from kaniwa.sdram_parts import PARTS

# What Gowin's own tools call the ports, which then have their pads by themselves.
NAMES = {"clk": "O_sdram_clk", "clk_en": "O_sdram_cke", "cs": "O_sdram_cs_n",
         "ras": "O_sdram_ras_n", "cas": "O_sdram_cas_n", "we": "O_sdram_wen_n",
         "ba": "O_sdram_ba", "a": "O_sdram_addr", "dq": "IO_sdram_dq", "dqm": "O_sdram_dqm"}


def sdram_phase(family: str, of: dict[str, Any]) -> float:
    """By which part of a cycle a PLL's second clock is behind its first."""
    if family == "gowin":
        assert of["DYN_DA_EN"] == "false" and of["DUTYDA_SEL"] == "1000"
        return int(of["PSDA_SEL"], 2) / 16
    phases = [of[f"{output}_CPHASE"] + of[f"{output}_FPHASE"] / 8 for output in ("CLKOP", "CLKOS")]
    assert of["CLKOS_DIV"] == of["CLKOP_DIV"] and of["CLKOS_ENABLE"] == "ENABLED"
    phase: float = (phases[1] - phases[0]) / of["CLKOP_DIV"]
    return phase


@pytest.mark.parametrize("name", [name for name in BOARDS if load_board(name).sdram])
def test_the_clock_of_an_sdram_is_as_late_as_its_pins_ask_for(name: str) -> None:
    board = load_board(name)
    pll = load_family(board.family).pll(board.make_platform().default_clk_frequency,
                                        board.clock_mhz(board.default_target), board.device)
    m = Module()
    pin: Any = SimpleNamespace(default_clk="",
                               request=lambda name: SimpleNamespace(i=Signal()))
    pll.add(m, pin, Signal(), Signal())
    made: Any = m.submodules.pll
    Fragment.get(m, None)    # What is elaborated is used: Amaranth warns of the rest.
    wanted = {"ecp5": 0.75, "gowin": 0.875}
    assert sdram_phase(board.family, made.parameters) == wanted[board.family]


def test_a_compact_core_on_a_board_with_sdram_has_a_way_there() -> None:
    board = load_board("tang_nano_20k_sdram")
    wanted = ("nano is a compact core with outside_bits of 0, so it has no way to the SDRAM of "
              "tang_nano_20k_sdram: set outside_bits in the target, or take one of nano_64k_sdram")
    with pytest.raises(ConfigError, match=f"^{wanted}$"):
        board.config("nano")
    with pytest.raises(ConfigError, match=f"^{wanted}$"):
        design_files(board, PRESETS["nano"], 40.5)


def test_a_core_whose_reads_are_no_bursts_of_the_chip_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="^xl on colorlight_i5_sdram: read_bytes of 128 is no "
                                          "burst of an SDRAM of 4 bytes a column: it must be 1, "
                                          "2, 4 or 8 of these$"):
        load_board("colorlight_i5_sdram").config("xl")


@pytest.mark.parametrize("write_bytes", [4, 8])
def test_an_sdram_without_a_mask_takes_columns_and_whole_bursts(write_bytes: int) -> None:
    """A part of a burst would leave the rest of it to whatever is at the pins."""
    SdramController._MustUse__silence = True   # one that is refused is not used
    config = dataclasses.replace(PRESETS["small"], read_bytes=16, write_bytes=write_bytes,
                                 name="sizes")
    with pytest.raises(ConfigError, match=f"write_bytes of {write_bytes} are a part of the bursts "
                                          "of 16 bytes, .*: they must be 2 or 16"):
        SdramController(config, PARTS["IS42S16160G"], 80, masked=False)


def test_pads_in_the_package_are_those_that_the_packers_database_has() -> None:
    """They have no number, and no data sheet that names them."""
    chipdb = pytest.importorskip("apycula.chipdb")
    board = load_board("tang_nano_20k_sdram")
    target = board.default_target
    text = design_files(board, board.config(target), board.clock_mhz(target))[f"{TOP}.cst"]
    found = {NAMES[pin] + bit: pad for pin, bit, pad in re.findall(
        r'^IO_LOC "sdram_0__(\w+)__io((?:\[\d+\])?)" (\w+);', text, re.MULTILINE)}
    database = chipdb.load_chipdb(Path(chipdb.__file__).parent / "GW2A-18C.msgpack.xz")
    wanted = {}
    for name, row, column, half, standard in database.sip_cst["GW2AR-18C"]["QFN88"]:
        assert standard == "LVCMOS33" and column in (0, database.cols - 1)
        wanted[name] = f"IO{'R' if column else 'L'}{row + 1}{half}"
    assert found == wanted and len(wanted) == 55
