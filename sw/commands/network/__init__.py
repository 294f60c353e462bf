"""Verbs that other machines talk to."""
