"""Benches of ``kaniwa.hw.parts``, and of the bench framework on one of them."""
