"""Smaller networks: masks, channels, shared weights, low rank, in NumPy; training in PyTorch."""
