"""Activations on their way to the array: load DMA, line buffer, window, patches."""
