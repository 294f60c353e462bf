"""Benches of the blocks that start a board from its flash."""
