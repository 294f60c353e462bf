"""Models of what surrounds a block, and random stimuli, for several benches."""
