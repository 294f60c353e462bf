"""Kinds of operators that the passes make of the model's."""

__all__ = ["VECTOR_KINDS", "WIDE", "WIDE_BYTES", "WIDE_SUMS"]

VECTOR_KINDS = ("SOFTMAX", "LAYER_NORM", "BATCH_MATMUL")      # programs of the vector unit
WIDE = "WIDE"      # an operator of int16, element by element
WIDE_BYTES = "WIDE_BYTES"      # high and low bytes of int16, for an operator that sums
WIDE_SUMS = "WIDE_SUMS"      # the end of an operator of int16 that sums
