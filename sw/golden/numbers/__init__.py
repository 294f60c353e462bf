"""Fixed-point arithmetic, rounding and tables of the golden kernels."""
