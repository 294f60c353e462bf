"""Model files made in memory, whole or damaged."""
