"""Checks of `kaniwa selftest` on a device: link, memory, array, and a model's answers."""
