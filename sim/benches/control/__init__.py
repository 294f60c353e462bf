"""Benches of ``kaniwa.hw.control``."""
