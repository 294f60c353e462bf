"""Benches of the whole core, of the accelerator and of boards at their pins."""
