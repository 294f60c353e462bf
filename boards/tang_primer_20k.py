"""Sipeed Tang Primer 20K with GW2A-18: 20.7k LUTs, 46 block RAMs, 48 multipliers 18x18.

Its block RAM does not hold ``small``, and ``small`` with less memory takes 14,299 of 15,552
flip-flops, and its placer was stopped after seven minutes without a step. The target of the same
name as the board is the compact core of ``nano`` with 64 KiB of memory, at 40.5 MHz.
"""

from kaniwa.boards.board import TARGETS, Board

BOARD = Board(
    name="tang_primer_20k",
    title="Sipeed Tang Primer 20K with dock (Gowin GW2A-LV18PG256C8/I7)",
    family="gowin",
    platform="amaranth_boards.tang_primer_20k:TangPrimer20kPlatform",
    device=("--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18C"),
    targets={"tang_primer_20k": 40.5},   # 27 MHz * 3 / 2
    capacity={"lut": 20736, "ff": 15552, "bram": 46, "dsp": 48},
    link="uart",   # BL702 of the dock
    memory="block RAM only; the DDR3 is not used",
    programmers=(("openFPGALoader", "-b", "tangprimer20k", "{file}"),),
    files={"tang_primer_20k": TARGETS / "tang_primer_20k.toml"},
)
