"""Simulation: the in-process simulated device, benches, stream monitors and mutation runs."""
