"""Buses: the core as a peripheral of a system on chip, behind AXI or Wishbone."""
