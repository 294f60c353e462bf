"""Emulator: instructions on a model of device memory, exact to the bit."""
