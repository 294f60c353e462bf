"""Benches of ``kaniwa.hw.sensor``."""
