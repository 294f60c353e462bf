"""Compiled models as C source for the driver of a CPU that sees the accelerator on its bus."""
