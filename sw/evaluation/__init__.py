"""Accuracy of a model over labelled data."""
