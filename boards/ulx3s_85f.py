"""ULX3S with LFE5U-85F: 84k LUTs, 208 block RAMs, 156 multipliers 18x18."""

from kaniwa.boards.board import TARGETS, Board
from kaniwa.boards.pins.ulx3s import FLASH, FLASH_PROGRAMMERS, LEDS, SPI, USB

BOARD = Board(
    name="ulx3s_85f",
    title="Radiona ULX3S 85F (Lattice ECP5, LFE5U-85F-6BG381C)",
    family="ecp5",
    platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
    device=("--85k", "--package", "CABGA381", "--speed", "6"),
    targets={"base": 100.0, "large": 80.0, "base_vector": 90.0,
             "base_recurrent": 90.0},
    several={("half", 2): 85.0},
    files={"half": TARGETS / "half.toml"},
    capacity={"lut": 83640, "ff": 83640, "bram": 208, "dsp": 156},
    link="uart",   # FT231X, up to 3 Mbaud
    memory="block RAM only; the SDRAM is not used",
    spi=SPI,
    usb=USB,
    programmers=(("openFPGALoader", "-b", "ulx3s", "{file}"), ("fujprog", "{file}")),
    flash=FLASH,
    class_pins=LEDS,
    flash_programmers=FLASH_PROGRAMMERS,
)
