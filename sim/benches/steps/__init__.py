"""Benches of ``kaniwa.hw.steps``."""
