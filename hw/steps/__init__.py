"""The order of the array's steps: which words meet which window, for each mode."""
