"""ULX3S with LFE5U-25F: 24k LUTs, 56 block RAMs, 28 multipliers 18x18."""

from kaniwa.boards.board import Board
from kaniwa.boards.pins.ulx3s import FLASH, FLASH_PROGRAMMERS, LEDS, SPI, USB

BOARD = Board(
    name="ulx3s_25f",
    title="Radiona ULX3S 25F (Lattice ECP5, LFE5U-25F-6BG381C)",
    family="ecp5",
    platform="amaranth_boards.ulx3s:ULX3S_25F_Platform",
    device=("--25k", "--package", "CABGA381", "--speed", "6"),
    targets={"small": 80.0},
    capacity={"lut": 24288, "ff": 24288, "bram": 56, "dsp": 28},
    link="uart",   # FT231X, up to 3 Mbaud
    memory="block RAM only; the SDRAM is not used",
    spi=SPI,
    usb=USB,
    programmers=(("openFPGALoader", "-b", "ulx3s", "{file}"), ("fujprog", "{file}")),
    flash=FLASH,
    class_pins=LEDS,
    flash_programmers=FLASH_PROGRAMMERS,
)
