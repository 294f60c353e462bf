"""Random networks."""
