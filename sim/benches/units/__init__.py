"""Benches of ``kaniwa.hw.units``."""
