"""Operators by family: a file holds its operators' rows of the table, readers and limits."""
