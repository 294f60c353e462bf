"""OrangeCrab r0.2 with LFE5U-25F: 24k LUTs, 56 block RAMs, 28 multipliers 18x18."""

from kaniwa.boards.board import Board, Usb

BOARD = Board(
    name="orangecrab_25f",
    title="OrangeCrab r0.2 25F (Lattice ECP5, LFE5U-25F-8MG285C)",
    family="ecp5",
    platform="amaranth_boards.orangecrab_r0_2:OrangeCrabR0_2_25FPlatform",
    device=("--25k", "--package", "CSFBGA285", "--speed", "8"),
    targets={"small": 80.0},
    capacity={"lut": 24288, "ff": 24288, "bram": 56, "dsp": 28},
    link=None,   # its socket leads to pins of the FPGA
    usb=Usb("usb"),
    memory="block RAM only; the DDR3 memory is not used",
    # The boot loader's number and its place for bitstreams, which it writes to flash.
    programmers=(("dfu-util", "-d", "1209:5af0", "-a", "0", "-D", "{file}"),),
)
