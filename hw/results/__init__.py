"""Sums to stored results: requantizer, elementwise operands, store DMA."""
