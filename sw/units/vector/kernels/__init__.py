"""Programs of the vector unit, one file for each family of functions."""
