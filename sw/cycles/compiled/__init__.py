"""The cycle model compiled to machine code: where it is kept, and how it is built."""
