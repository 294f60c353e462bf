"""Benches of ``kaniwa.hw.link``."""
