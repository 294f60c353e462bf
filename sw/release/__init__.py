"""Releases: bitstreams and simulators that were built before, checked and kept for use."""
