"""Gateware, one block a file. Imports only ``kaniwa.isa`` and ``kaniwa.config``."""
