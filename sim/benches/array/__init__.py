"""Benches of ``kaniwa.hw.array``."""
