"""Cycle model: the read paths of device memory, each up to what it gives to others."""
