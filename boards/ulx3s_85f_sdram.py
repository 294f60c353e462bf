"""ULX3S with LFE5U-85F, and its SDRAM as outside memory."""

import dataclasses

from kaniwa.boards.board import Sdram
from kaniwa.boards.ulx3s_85f import BOARD as WITHOUT

# Boards carry an IS42S16160G, an MT48LC16M16A2, an AS4C16M16SA or a W9825G6KH: of these the second
# has the longest times. One of 64 MB (AS4C32M16SB) is used by half, and needs 95 MHz or less.
BOARD = dataclasses.replace(
    WITHOUT,
    name="ulx3s_85f_sdram",
    title="Radiona ULX3S 85F with its SDRAM (Lattice ECP5, LFE5U-85F-6BG381C)",
    targets={"base": 90.0},
    several={},
    memory="block RAM, and 32 MB of SDRAM outside",
    sdram=Sdram("MT48LC16M16A2"),
)
