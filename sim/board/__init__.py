"""Boards simulated at their pins, and models of the link."""
