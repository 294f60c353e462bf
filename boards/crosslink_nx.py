"""CrossLink-NX Evaluation Board with LIFCL-40: 32k LUTs, 84 block RAMs, 56 multipliers 18x18."""

from kaniwa.boards.board import Board

BOARD = Board(
    name="crosslink_nx",
    title="Lattice CrossLink-NX Evaluation Board (LIFCL-40-9BG400C)",
    family="nexus",
    platform="kaniwa.boards.pins.crosslink_nx:CrossLinkNxEvnPlatform",
    device=("--device", "LIFCL-40-9BG400C"),
    targets={"nano": 12.0},   # the oscillator itself
    capacity={"lut": 32256, "ff": 32256, "bram": 84, "dsp": 112},
    link="uart",   # FT2232H, channel B
    baud=2_000_000,   # 6 cycles a bit
    memory="block RAM only; the large RAM blocks are not used",
    programmers=(("openFPGALoader", "-b", "crosslinknx_evn", "{file}"),),
)
