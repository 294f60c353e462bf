"""Benches of ``kaniwa.hw.compact``."""
