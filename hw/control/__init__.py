"""Registers, instruction sequencer and counters."""
