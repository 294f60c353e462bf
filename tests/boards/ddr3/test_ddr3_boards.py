"""Boards with DDR3: the module of LiteDRAM, its pads and clocks, and what a core must have."""

from __future__ import annotations

import dataclasses
import re
import sys
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Fragment

from kaniwa import cli
from kaniwa.boards.board import BOARDS, Board, load_board
from kaniwa.boards.ddr3.memory_core import MODULE, memory_core
from kaniwa.boards.families.ecp5_ddr3 import Ecp5Ddr3Clocks
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.errors import BuildError, ConfigError
from kaniwa.hw.ddr3.signatures import Command, Control
from kaniwa.sim.worlds.serial_config import TINY

ABLE = [name for name in BOARDS if load_board(name).ddr3]
BY_USB = "orangecrab_85f_ddr3"
WIDE = dataclasses.replace(TINY, read_bytes=16, name="wide")    # a burst
# Pads of lambdaconcept_ecpix5.py and gsd_orangecrab.py of github.com/litex-hub/litex-boards.
PADS = {
    "ecpix5_85f_ddr3": {
        "a": "T5 M3 L3 V6 K2 W6 K3 L1 H2 L2 N1 J1 M1 K1 H1", "ba": "U6 N3 N4", "ras": "T3",
        "cas": "P2", "we": "R3", "clk_en": "P1", "odt": "P3", "clk": "H3", "dqs": "V4 V1",
        "dm": "U4 U1", "dq": "T4 W4 R4 W5 R6 P6 P5 P4 R1 W3 T2 V3 U3 W1 T1 W2"},
    BY_USB: {
        "a": "C4 D2 D3 A3 A4 D4 C3 B2 B1 D1 A7 C2 B6 C1 A2 C7", "ba": "D6 B7 A6", "ras": "C12",
        "cas": "D13", "we": "B12", "cs": "A12", "rst": "L18", "clk_en": "D18", "odt": "C13",
        "clk": "J18", "dqs": "B15 G18", "dm": "D16 G16",
        "dq": "C17 D15 B17 C16 A15 B13 A17 A13 F17 F16 G15 F15 J16 C18 H16 F18"},
}


def core_of(board: Board) -> Any:
    assert board.ddr3 is not None
    return memory_core(board.ddr3, board.clock_mhz(board.default_target))


@pytest.fixture(params=ABLE)
def board(request: pytest.FixtureRequest) -> Board:
    return load_board(request.param)


def ports_of(verilog: str) -> list[str]:
    head = re.search(rf"^module {MODULE}\((.*?)\);", verilog, re.MULTILINE | re.DOTALL)
    assert head
    return [line.strip(" ,\t").replace("reg ", "") for line in head[1].splitlines()]


def without_ways(ports: list[str]) -> list[str]:
    """Pads with words in both ways have none in a simulation."""
    return [port.partition(" ")[2] if "pad_dq" in port else port for port in ports]


def test_boards_with_ddr3() -> None:
    assert set(PADS) == set(ABLE)


def test_pads_are_those_of_the_boards_own_design(board: Board) -> None:
    text = design_files(board, WIDE, board.clock_mhz(board.default_target))[f"{TOP}.lpf"]
    found = dict[str, list[str]]()
    for pin, site in re.findall(
            r'^LOCATE COMP "ddr3_0__(\w+)__(?:io|p)(?:\[\d+\])?" SITE "(\w+)"', text, re.MULTILINE):
        found.setdefault(pin, []).append(site)
    assert {pin: " ".join(sites) for pin, sites in found.items()} == PADS[board.name]


def test_pins_beside_the_chip_are_held_at_levels_of_supplies() -> None:
    text = design_files(load_board(BY_USB), WIDE, 48.0)[f"{TOP}.lpf"]
    assert len(re.findall(r'^LOCATE COMP "ddr3_pseudo_power', text, re.MULTILINE)) == 8


def test_what_is_simulated_has_the_same_ports(board: Board) -> None:
    real, simulated = core_of(board), core_of(board.with_simulated_memory())
    assert without_ways(ports_of(real.verilog)) == without_ways(ports_of(simulated.verilog))
    assert (real.shape, real.steps, real.times) == (
        simulated.shape, simulated.steps, simulated.times)
    assert "DDR3_CHIPS" in simulated.verilog and "DDR3_CHIPS" not in real.verilog
    assert "DQSBUFM" in real.verilog and "DQSBUFM" not in simulated.verilog


def test_the_module_is_the_same_each_time(board: Board) -> None:
    assert core_of(board).verilog == core_of(board).verilog


def test_a_delay_crossed_masks_and_a_termination_are_in_the_module() -> None:
    plain, other = (load_board(name) for name in ("ecpix5_85f_ddr3", BY_USB))
    delays = [set(re.findall(r"\.DEL_VALUE\(\d+'d(\d+)\)", core_of(each).verilog))
              for each in (plain, other)]
    assert delays == [{"0"}, {"100"}]
    modes = [next(step.address for step in core_of(each).steps if step.bank == 1)
             for each in (plain, other)]
    assert [mode & 0x244 for mode in modes] == [4, 0]       # RTT_NOM of MR1
    masks = [re.findall(r"dm_o_data(\d)\[0\] <= \w+_p0_wrdata_mask\[(\d)\]", core_of(each).verilog)
             for each in (plain, other)]
    assert masks == [[("0", "0"), ("1", "1")], [("0", "1"), ("1", "0")]]


def test_the_start_is_that_of_the_standard(board: Board) -> None:
    """JEDEC JESD79-3F, 3.3.1: RESET#, CKE, the modes, and the long calibration."""
    mhz, steps = board.clock_mhz(board.default_target), core_of(board).steps
    assert [step.control & Control.RESET_N != 0 for step in steps] == [False] + [True] * 7
    assert [step.control & Control.CKE != 0 for step in steps] == [False] * 2 + [True] * 6
    assert [step.cycles / mhz for step in steps[:2]] == pytest.approx([200, 500])
    mode = Command.CS | Command.RAS | Command.CAS | Command.WE
    assert [step.command for step in steps] == [0, 0, 0, mode, mode, mode, mode,
                                                Command.CS | Command.WE]
    assert [step.bank for step in steps[3:]] == [2, 3, 1, 0, 0]
    assert steps[-1].address >> 10 & 1          # the long one
    for before, after in pairwise(steps):
        assert before.cycles >= 6 or not after.command      # tMOD of 12 clocks


def test_the_clocks_are_in_the_range_of_the_oscillator(board: Board) -> None:
    mhz = board.clock_mhz(board.default_target)
    hz = board.make_platform().default_clk_frequency
    clocks = Ecp5Ddr3Clocks(hz, mhz, bridge=True)
    m = Module()
    pin: Any = SimpleNamespace(default_clk="", request=lambda name: SimpleNamespace(i=Signal()))
    clocks.add(m, pin, Signal(), Signal(), Signal(), Signal(), Signal())
    made: Any = m.submodules.pll
    Fragment.get(m, None)    # What is elaborated is used: Amaranth warns of the rest.
    of = made.parameters
    twice = hz / 1e6 / of["CLKI_DIV"] * of["CLKFB_DIV"]
    assert twice == pytest.approx(2 * mhz) and clocks.hz == round(mhz * 1e6)
    assert 400 <= twice * of["CLKOP_DIV"] <= 800
    assert twice * of["CLKOP_DIV"] / of["CLKOS_DIV"] == pytest.approx(25, rel=0.05)


def test_a_clock_that_the_pll_cannot_make_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^the PLL cannot make 135.246 MHz, twice the clock, of "
                                          r"25 MHz: choose another clock$"):
        Ecp5Ddr3Clocks(25e6, 67.623, bridge=False)


def test_the_compiler_is_told_of_the_chip(board: Board) -> None:
    assert board.outside(board.default_target) == {
        "ecpix5_85f_ddr3": "litedram,module=MT41K256M16,phy=ecp5,bytes=2,clock=75",
        BY_USB: "litedram,module=MT41K64M16,phy=ecp5,bytes=2,clock=48"}[board.name]


def test_a_core_whose_reads_are_no_bursts_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="^small on ecpix5_85f_ddr3: read_bytes must be 16, a "
                                          "burst of its DDR3, not 8: take one of "
                                          "small_ddr3, base$"):
        load_board("ecpix5_85f_ddr3").config("small")
    with pytest.raises(ConfigError, match="^serial on ecpix5_85f_ddr3: read_bytes must be 16"):
        design_files(load_board("ecpix5_85f_ddr3"), TINY, 75.0)


def test_without_litedram_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litedram", None)
    with pytest.raises(BuildError, match=r"^a board with DDR3 memory needs litedram: .*bitstream"):
        core_of(load_board("ecpix5_85f_ddr3"))


def test_several_cores_have_no_outside_memory(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        cli.main(["bitstream", "--board", "ecpix5_85f_ddr3", "--cores", "2"])
    assert "cannot have outside memory" in capsys.readouterr().err
