"""Colorlight i5 with LFE5U-25F: 24k LUTs, 56 block RAMs, 28 multipliers 18x18."""

from kaniwa.boards.board import Board

BOARD = Board(
    name="colorlight_i5",
    title="Colorlight i5 on Muse Lab's extension board (Lattice ECP5, LFE5U-25F-6BG381C)",
    family="ecp5",
    platform="kaniwa.boards.pins.colorlight_i5:ColorlightI5Platform",
    device=("--25k", "--package", "CABGA381", "--speed", "6"),
    targets={"small": 80.0},
    capacity={"lut": 24288, "ff": 24288, "bram": 56, "dsp": 28},
    link="uart",   # DAPLink of the extension board, an STM32F103: up to 2.25 Mbaud
    baud=1_000_000,
    memory="block RAM only; the SDRAM is not used",
    programmers=(("openFPGALoader", "-b", "colorlight-i5", "{file}"),
                 ("ecpdap", "program", "{file}")),
)
