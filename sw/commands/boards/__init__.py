"""Verbs of boards: bitstreams, and a board that is simulated at its pins."""
