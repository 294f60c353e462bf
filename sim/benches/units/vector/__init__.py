"""Benches of ``kaniwa.hw.units.vector``."""
