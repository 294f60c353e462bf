"""Comparison with frameworks, with recorded tensors and between devices."""
