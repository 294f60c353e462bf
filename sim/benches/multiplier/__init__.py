"""Benches of ``kaniwa.hw.multiplier``."""
