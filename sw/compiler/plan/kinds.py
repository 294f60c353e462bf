"""Kinds of operators that the passes make of the model's."""

__all__ = ["SUMMED", "UINT8_BILINEAR", "UINT8_JOIN", "VECTOR_KINDS", "WIDE",
           "WIDE_BYTES", "WIDE_SUMS"]

# Programs of the vector unit.
VECTOR_KINDS = ("SOFTMAX", "LAYER_NORM", "GROUP_NORM", "INSTANCE_NORM", "RMS_NORM", "BATCH_MATMUL")
WIDE = "WIDE"      # an operator of int16, element by element
WIDE_BYTES = "WIDE_BYTES"      # high and low bytes of int16, for an operator that sums
WIDE_SUMS = "WIDE_SUMS"      # the end of an operator of int16 that sums
# The model's that sum products; MEAN and AVERAGE_POOL_2D with weights of 1.
SUMMED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "AVERAGE_POOL_2D")
# The rule of a CONCATENATION that was uint8, which rescales operands of other steps.
UINT8_JOIN = "litert_uint8_concatenation"
# The rule of a RESIZE_BILINEAR that was uint8: the real number, ties up.
UINT8_BILINEAR = "litert_uint8_bilinear"
