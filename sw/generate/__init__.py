"""Folders of `kaniwa generate`: the accelerator in Verilog, with all that a design around it needs."""
