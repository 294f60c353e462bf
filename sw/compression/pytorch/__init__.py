"""Compression of PyTorch modules: recipes of steps, training between them, export to ONNX."""
