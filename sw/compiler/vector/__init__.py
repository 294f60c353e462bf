"""Layers that the vector unit computes: softmax, normalization, products."""
