"""Benches of ``kaniwa.hw.activations``."""
