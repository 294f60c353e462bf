"""Cycle model of the compact core, which runs one instruction after the other."""
