"""The core of the smallest devices: one thing at a time, few cells."""
