"""Passes that order the work: fusion, mapping, tiles, addresses, instructions."""
