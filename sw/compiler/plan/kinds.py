"""Kinds of operators that the passes make of the model's."""

__all__ = ["SUMMED", "VECTOR_KINDS", "WIDE", "WIDE_BYTES", "WIDE_SUMS"]

VECTOR_KINDS = ("SOFTMAX", "LAYER_NORM", "BATCH_MATMUL")      # programs of the vector unit
WIDE = "WIDE"      # an operator of int16, element by element
WIDE_BYTES = "WIDE_BYTES"      # high and low bytes of int16, for an operator that sums
WIDE_SUMS = "WIDE_SUMS"      # the end of an operator of int16 that sums
# The model's that sum products; MEAN and AVERAGE_POOL_2D with weights of 1.
SUMMED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "AVERAGE_POOL_2D")
