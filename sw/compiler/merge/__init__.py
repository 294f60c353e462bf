"""Fewer passes of the array: what is a part of a layer before or behind it, and order."""
