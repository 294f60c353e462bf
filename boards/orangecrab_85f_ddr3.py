"""OrangeCrab r0.2 with LFE5U-85F, and its DDR3 as outside memory."""

import dataclasses

from kaniwa.boards.board import TARGETS, Ddr3
from kaniwa.boards.orangecrab_25f import BOARD as SMALLER

BOARD = dataclasses.replace(
    SMALLER,
    name="orangecrab_85f_ddr3",
    title="OrangeCrab r0.2 85F with its DDR3 (Lattice ECP5, LFE5U-85F-8MG285C)",
    platform="kaniwa.boards.pins.orangecrab:OrangeCrab85FPlatform",
    device=("--85k", "--package", "CSFBGA285", "--speed", "8"),
    # The clock, and how the memory is wired and delayed, are those of gsd_orangecrab.py of
    # github.com/litex-hub/litex-boards. Boards carry chips of 128 MB and more, which have the pins
    # of the smallest one.
    targets={"small_ddr3": 48.0, "base": 48.0},
    files={"small_ddr3": TARGETS / "small_ddr3.toml"},
    capacity={"lut": 83640, "ff": 83640, "bram": 208, "dsp": 156},
    memory="block RAM, and 128 MB of DDR3 outside",
    ddr3=Ddr3("MT41K64M16", bridge=True, supplies="ddr3_pseudo_power", crossed_masks=True,
              command_delay=100, termination="disabled"),
)
