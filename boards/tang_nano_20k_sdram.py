"""Sipeed Tang Nano 20K with GW2AR-18, and the SDRAM in the FPGA's package as outside memory."""

import dataclasses

from kaniwa.boards.board import TARGETS, Sdram
from kaniwa.boards.tang_nano_20k import BOARD as WITHOUT

# Which chip is in the package was not found out. litex-boards takes M12L64322A, of the same size,
# and says that it is to be looked up: this part has longer times.
BOARD = dataclasses.replace(
    WITHOUT,
    name="tang_nano_20k_sdram",
    title="Sipeed Tang Nano 20K with its SDRAM (Gowin GW2AR-LV18QN88C8/I7)",
    targets={"nano_64k_sdram": 40.5},
    memory="block RAM, and 8 MB of SDRAM in the FPGA's package",
    sdram=Sdram("EM638325"),
    files={"nano_64k_sdram": TARGETS / "nano_64k_sdram.toml"},
)
