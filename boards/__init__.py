"""Boards: pins, clocks and links of the supported FPGA boards, and how to build for them."""
