"""Benches of the start of DDR3 memory."""
