"""Passes that change the model: partition, legalize, lower, dead channels."""
