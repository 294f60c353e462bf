"""LambdaConcept ECPIX-5 with LFE5UM5G-85F: 84k LUTs, 208 block RAMs, 156 multipliers 18x18."""

from kaniwa.boards.board import Board, Ethernet

BOARD = Board(
    name="ecpix5_85f",
    title="LambdaConcept ECPIX-5 85F, by Ethernet (Lattice ECP5-5G, LFE5UM5G-85F-8BG554)",
    family="ecp5",
    platform="amaranth_boards.ecpix5:ECPIX585Platform",
    device=("--um5g-85k", "--package", "CABGA554", "--speed", "8"),
    targets={"base": 100.0},
    capacity={"lut": 83640, "ff": 83640, "bram": 208, "dsp": 156},
    link="uart",
    # Delays as in lambdaconcept_ecpix5.py of github.com/litex-hub/litex-boards.
    ethernet=Ethernet(receive_ns=0.0, send_ns=2.0),
    memory="block RAM only; the DDR3 memory is not used",
    programmers=(("openFPGALoader", "-b", "ecpix5", "{file}"),),
)
