"""Colorlight i5 with LFE5U-25F, and its SDRAM as outside memory."""

import dataclasses

from kaniwa.boards.board import Sdram
from kaniwa.boards.colorlight_i5 import BOARD as WITHOUT

BOARD = dataclasses.replace(
    WITHOUT,
    name="colorlight_i5_sdram",
    title="Colorlight i5 with its SDRAM (Lattice ECP5, LFE5U-25F-6BG381C)",
    memory="block RAM, and 8 MB of SDRAM outside",
    sdram=Sdram("EM638325", masked=False),
)
