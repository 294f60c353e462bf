"""Benches of ``kaniwa.hw.memory``."""
