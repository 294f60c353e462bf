"""Bitstreams of several cores: names, defaults, refusals, and the blocks of each core."""

import re

import pytest

from kaniwa import cli
from kaniwa.boards.board import file_stem, load_board
from kaniwa.boards.families.family import load_family
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.boards.flow.utilization import _block_of
from kaniwa.errors import ConfigError
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.worlds.serial_config import TINY

BOARD = load_board("ulx3s_85f")


def test_a_board_has_a_target_for_two_cores():
    assert (BOARD.target_for(1), BOARD.target_for(2), BOARD.target_for(3)) == (
        "base", "half", "base")
    assert BOARD.clock_mhz("half", 2) == 85.0 and BOARD.clock_mhz("base", 2) == 100.0
    half = BOARD.config("half")
    assert half.out_lanes * half.dot_width == 64


def test_only_what_takes_most_of_the_blocks_or_the_wires_is_placed_twice():
    family = load_family("ecp5")
    for device in (BOARD.device, load_board("ecpix5_85f").device):
        planned = {case for case in (("half", 187), ("large", 194), ("base", 194), ("base", 200),
                                     ("base_vector", 180))
                   if family.floorplan(device, BOARD.config(case[0]), 80.0, case[1])}
        assert planned == {("large", 194), ("base", 200), ("base_vector", 180)}
    assert family.floorplan(("--25k",), BOARD.config("base"), 80.0, 200) is None


def test_files_say_how_many_cores_there_are():
    assert file_stem(BOARD, "base") == "ulx3s_85f-base"
    assert file_stem(BOARD, "some/half.toml", 2) == "ulx3s_85f-half-2cores"


def test_the_design_has_each_core_with_its_memory():
    text = design_files(BOARD, TINY, BOARD.clock_mhz(""), cores=2)[f"{TOP}.il"]
    modules = set(re.findall(r"^module \\top\.accelerator\.(\w+)$", text, re.MULTILINE))
    assert modules == {"link", "router", *(f"{part}_{core}" for core in range(2)
                                           for part in ("core", "memory", "port"))}
    virtual = board_design("ulx3s_85f", TINY, BOARD.baud, 2)
    assert virtual.rtlil() == text


@pytest.mark.parametrize("module, block", [
    ("top.accelerator.core.datapath.mac_array", "mac_array"),
    ("top.accelerator.memory.bank_0", "on_chip_memory"),
    ("top.accelerator.core_1.datapath.mac_array.lane", "core_1.mac_array.lane"),
    ("top.accelerator.core_0.control", "core_0.control"),
    ("top.accelerator.core_0", "core_0"),
    ("top.accelerator.memory_1.bank_0", "core_1.on_chip_memory"),
    ("top.accelerator.port_1", "core_1.local_port"),
    ("top.accelerator.router", "router"), ("top.accelerator", "top"), ("top", "top"),
])
def test_blocks_are_those_of_their_core(module, block):
    assert _block_of(module) == block


@pytest.mark.parametrize("board, cores, message", [
    ("ulx3s_85f", 0, "cores must be 1..8, not 0"),
    ("ulx3s_85f", 9, "cores must be 1..8, not 9"),
    ("ulx3s_85f_sdram", 2, "2 cores cannot have outside memory"),
])
def test_cores_that_cannot_be_built_are_refused(board, cores, message):
    chosen = load_board(board)
    with pytest.raises(ConfigError, match=message):
        chosen.check_cores(chosen.default_target, cores)
    with pytest.raises(ConfigError, match=message):
        board_design(board, cores=cores)
    with pytest.raises(ConfigError, match=message):
        design_files(chosen, TINY, 80.0, cores=cores)


@pytest.mark.parametrize("arguments, message", [
    (["bitstream", "--board", "ulx3s_85f", "--cores", "9"], "1<=x<=8"),
    (["bitstream", "--board", "ulx3s_85f_sdram", "--cores", "2"], "cannot have outside memory"),
    (["program", "--board", "ulx3s_85f", "--cores", "2", "-o", "nowhere"],
     "ulx3s_85f-half-2cores.bit: no such bitstream; kaniwa bitstream --board ulx3s_85f --cores 2"),
])
def test_commands_refuse_in_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code
    error = " ".join(capsys.readouterr().err.split())
    assert message in error and "Traceback" not in error
