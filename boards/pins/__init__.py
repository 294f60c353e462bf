"""Pins of boards that amaranth-boards does not have, each with the document they come from."""
