"""Weights from memory to the ring: fetch, decoder, ring, parameter buffer."""
