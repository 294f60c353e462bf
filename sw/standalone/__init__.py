"""Start from flash: the image that a board loads by itself at power-up."""
