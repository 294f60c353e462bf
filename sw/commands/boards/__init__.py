"""Verbs of boards: bitstreams, boards simulated at their pins, a line offered over TCP."""
