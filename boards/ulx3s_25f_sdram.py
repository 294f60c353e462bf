"""ULX3S with LFE5U-25F, and its SDRAM as outside memory."""

import dataclasses

from kaniwa.boards.ulx3s_25f import BOARD as WITHOUT
from kaniwa.boards.ulx3s_85f_sdram import BOARD as LARGER

BOARD = dataclasses.replace(
    WITHOUT,
    name="ulx3s_25f_sdram",
    title="Radiona ULX3S 25F with its SDRAM (Lattice ECP5, LFE5U-25F-6BG381C)",
    memory=LARGER.memory,
    sdram=LARGER.sdram,
)
