"""Behavioral models of the FPGA primitives that gateware may be made of."""
