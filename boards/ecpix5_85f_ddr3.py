"""ECPIX-5 with LFE5UM5G-85F, and its DDR3 as outside memory."""

import dataclasses

from kaniwa.boards.board import TARGETS, Ddr3
from kaniwa.boards.ecpix5_85f import BOARD as WITHOUT

BOARD = dataclasses.replace(
    WITHOUT,
    name="ecpix5_85f_ddr3",
    title="LambdaConcept ECPIX-5 85F with its DDR3, by Ethernet (Lattice ECP5-5G, "
          "LFE5UM5G-85F-8BG554)",
    # That of lambdaconcept_ecpix5.py of github.com/litex-hub/litex-boards, and its chip.
    targets={"small_ddr3": 75.0, "base": 75.0},
    files={"small_ddr3": TARGETS / "small_ddr3.toml"},
    memory="block RAM, and 512 MB of DDR3 outside",
    ddr3=Ddr3("MT41K256M16"),
)
