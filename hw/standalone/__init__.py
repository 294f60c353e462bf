"""Start from flash: program and weights are loaded at power-up, classes are shown at pins."""
