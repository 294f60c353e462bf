"""Benches of ``kaniwa.hw.results``."""
