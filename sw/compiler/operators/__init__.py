"""What the accelerator takes of each operator, and what the operator becomes: a file a family."""
