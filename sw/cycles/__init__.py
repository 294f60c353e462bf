"""Cycle model: the cycles of a program, equal to the RTL's, and their causes."""
