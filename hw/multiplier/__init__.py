"""Dot products, one strategy for each kind of multiplier that an FPGA family has."""
