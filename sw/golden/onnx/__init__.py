"""Golden kernels of quantised ONNX models."""
