"""Sipeed Tang Nano 20K with GW2AR-18: 20.7k LUTs, 46 block RAMs, 48 multipliers 18x18.

The FPGA is that of the Tang Primer 20K in another package, and so are target and clock.
"""

from kaniwa.boards.board import TARGETS, Board

BOARD = Board(
    name="tang_nano_20k",
    title="Sipeed Tang Nano 20K (Gowin GW2AR-LV18QN88C8/I7)",
    family="gowin",
    platform="kaniwa.boards.pins.tang_nano_20k:TangNano20kPlatform",
    device=("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"),
    targets={"nano_64k": 40.5},   # 27 MHz * 3 / 2
    capacity={"lut": 20736, "ff": 15552, "bram": 46, "dsp": 48},
    link="uart",   # BL616
    memory="block RAM only; the SDRAM in the FPGA's package is not used",
    programmers=(("openFPGALoader", "-b", "tangnano20k", "{file}"),),
    files={"nano_64k": TARGETS / "nano_64k.toml"},
)
