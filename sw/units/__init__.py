"""Units beside the array, one folder each."""
