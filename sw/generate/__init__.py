"""Folders of `kaniwa generate`: the accelerator in Verilog, and what a design around it needs."""
