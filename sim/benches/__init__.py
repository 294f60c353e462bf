"""Benches, one folder for each folder of hw/."""
