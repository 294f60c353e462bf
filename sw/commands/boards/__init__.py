"""Verbs of boards: bitstreams, trials, boards simulated at their pins, a line over TCP."""
