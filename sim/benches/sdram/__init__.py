"""Benches of the SDRAM controller."""
