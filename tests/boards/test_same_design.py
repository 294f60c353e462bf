"""What is simulated as a board is what a bitstream of it is built from."""

import dataclasses
import hashlib
import re

import pytest

from kaniwa.boards.board import BOARDS, load_board
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.config import PRESETS
from kaniwa.sim.board.board_design import BIT_CYCLES, board_design
from kaniwa.sim.primitives.models import FOLDER
from kaniwa.sim.worlds.serial_config import TINY

# TINY elaborates in a second; iCEBreaker's own target does too.


def modules(rtlil):
    """The hash of each module's text."""
    found = re.findall(r"^module \\(\S+)\n(.*?)^end$", rtlil, re.MULTILINE | re.DOTALL)
    assert len(found) == len(dict(found)) > 10
    return {name: hashlib.sha256(body.encode()).hexdigest() for name, body in found}


def built(name):
    """The design of the board's bitstream."""
    board = load_board(name)
    config = PRESETS["nano"] if name == "icebreaker" else TINY
    if board.ddr3 is not None:
        config = dataclasses.replace(TINY, read_bytes=16)     # a burst
    return config, design_files(board, config, board.clock_mhz(config.name))[f"{TOP}.il"]


@pytest.mark.parametrize("name", BOARDS)
def test_a_virtual_board_is_the_bitstreams_design(name):
    config, bitstream = built(name)
    assert board_design(name, config, baud=load_board(name).baud).rtlil() == bitstream

    assert board_design(name).config == load_board(name).config(load_board(name).default_target)

    # At its own baud and pace only the UART and the constants of the link are others.
    virtual = board_design(name, config)
    assert virtual.bit_cycles == BIT_CYCLES
    simulated, real = modules(virtual.rtlil()), modules(bitstream)
    assert simulated.keys() == real.keys()
    assert {module for module in real if simulated[module] != real[module]} <= {
        "top.uart.receiver", "top.uart.transmitter", "top.accelerator.link"}


def test_a_board_has_the_baud_that_its_file_says():
    board = load_board("ulx3s_25f")
    slow = dataclasses.replace(board, baud=1_000_000)
    texts = [modules(design_files(chosen, TINY, 80.0)[f"{TOP}.il"]) for chosen in (board, slow)]
    assert {module for module in texts[0] if texts[0][module] != texts[1][module]} == {
        "top.uart.receiver", "top.uart.transmitter", "top.accelerator.link"}


def test_nothing_but_pins_and_primitives_is_added():
    virtual = board_design("icebreaker")
    names = re.findall(r"^module \\?([\w.$]+)", virtual._verilog(), re.MULTILINE)
    added = set(names) - modules(virtual.rtlil()).keys()
    assert added - {path.stem for path in FOLDER.rglob("*.v")} == {"core"}
    assert {"SB_IO", "SB_MAC16", "SB_PLL40_PAD", "SB_SPRAM256KA"} <= added
