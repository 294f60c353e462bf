"""Benches of ``kaniwa.hw.bus``."""
