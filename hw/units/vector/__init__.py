"""The vector unit: short programs on rows of numbers."""
