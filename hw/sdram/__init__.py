"""The way to an SDRAM chip: its controller."""
