"""Benches of ``kaniwa.hw.weights``."""
