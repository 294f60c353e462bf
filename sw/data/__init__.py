"""Data of users: input files, labels."""
