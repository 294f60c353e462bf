"""Operators of the accelerator: limits, and the operators that they become. A file a family."""
