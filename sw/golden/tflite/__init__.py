"""Golden kernels of TFLite models."""
