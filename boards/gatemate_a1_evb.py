"""Olimex GateMateA1-EVB with CCGM1A1: 20,480 cells of a LUT tree, two flip-flops each, 32 block
RAMs, no multiplier blocks.

Its block RAM does not hold the 128 KiB of ``nano``.
"""

from kaniwa.boards.board import TARGETS, Board

BOARD = Board(
    name="gatemate_a1_evb",
    title="Olimex GateMateA1-EVB (Cologne Chip GateMate, CCGM1A1)",
    family="gatemate",
    platform="kaniwa.boards.pins.gatemate_a1_evb:GateMateA1EvbPlatform",
    device=("--device", "CCGM1A1"),
    targets={"nano_64k": 12.5},   # 10 MHz * 5 / 4
    capacity={"lut": 40960, "ff": 40960, "bram": 64},
    link="uart",   # RP2040
    baud=115_200,  # what the firmware on the RP2040 begins with
    memory="block RAM only; the PSRAM is not used",
    programmers=(("openFPGALoader", "-b", "olimex_gatemateevb", "{file}"),),
    files={"nano_64k": TARGETS / "nano_64k.toml"},
)
