"""Sipeed Tang Nano 9K with GW1NR-9: 8.6k LUTs, 26 block RAMs, 20 multipliers 18x18.

Its block RAM does not hold the 128 KiB of ``nano``.
"""

from kaniwa.boards.board import TARGETS, Board

BOARD = Board(
    name="tang_nano_9k",
    title="Sipeed Tang Nano 9K (Gowin GW1NR-LV9QN88PC6/I5)",
    family="gowin",
    platform="amaranth_boards.tang_nano_9k:TangNano9kPlatform",
    device=("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
    targets={"nano_32k": 27.0},
    capacity={"lut": 8640, "ff": 6480, "bram": 26, "dsp": 20},
    link="uart",   # BL702
    memory="block RAM only; the PSRAM in the FPGA's package is not used",
    programmers=(("openFPGALoader", "-b", "tangnano9k", "{file}"),),
    files={"nano_32k": TARGETS / "nano_32k.toml"},
)
