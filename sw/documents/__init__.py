"""Pages made from the tables: instruction set, operators."""
