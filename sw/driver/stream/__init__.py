"""Streams of inferences: what the line moves while the core computes."""
