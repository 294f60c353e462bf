"""FPGA families: what their tools are called with, and their primitives."""
