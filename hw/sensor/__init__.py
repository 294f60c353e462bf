"""Sensor ports: samples into a tensor as they arrive, and results out of one, without a CPU."""
