"""Benches of ``kaniwa.hw.units.cell``."""
