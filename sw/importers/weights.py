"""Limits of operators with weights and a bias."""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import quantize_multiplier
from kaniwa.golden.tflite.convolution import real_multipliers
from kaniwa.importers import limits
from kaniwa.importers.operands import Constraint, Operands, quantization_of

__all__ = ["weighted", "BIAS_TYPE"]

WEIGHTS = {"int8": "int8", "uint8": "uint8", "int16": "int8", "float32": "float32"}
BIAS = {"int8": "int32", "uint8": "int32", "int16": "int64", "float32": "float32"}
BIAS_TYPE = "bias_type"  # the attribute, until limits have seen it
INT32 = 2  # in the schema's TensorType


def weighted(x: int, weights: int, axis: int, computed: bool = False) -> tuple[Constraint, ...]:
    """The limits where operand ``x`` meets ``weights``, with output channels along ``axis``.

    The bias is the third operand that is not constant by nature. ``computed`` allows weights that
    another operator makes.
    """

    def dtype_of_weights(op: Operands) -> str | None:
        tensor, expected = op.present(weights), WEIGHTS[op.present(x).dtype]
        if tensor.data is None and not computed:
            return f"weights '{tensor.name}' are computed, must be constant"
        if tensor.dtype != expected:
            alone = expected == "float32" and tensor.quantization is not None
            return f"weights are {tensor.dtype}, must be {expected}" + (
                ": they alone are quantised; `kaniwa quantize` quantises activations too"
                if alone else "")
        if tensor.dtype == "float32" and tensor.data is not None:
            return None if np.isfinite(tensor.data).all() else "weights are not all finite"
        return None

    def scales_of_weights(op: Operands) -> str | None:
        tensor = op.present(weights)
        if tensor.dtype == "float32":
            return None
        q = tensor.quantization
        if q is None:
            return f"weights '{tensor.name}' have no scale"
        if tensor.dtype == "uint8" or tensor.data is None:
            if len(q.scales) > 1:
                return f"{tensor.dtype} weights '{tensor.name}' have {len(q.scales)} scales"
            ends = np.iinfo(tensor.dtype)
            return (None if ends.min <= q.zero_point <= ends.max else
                    f"weights '{tensor.name}' have zero_point {q.zero_point}")
        form = "per-channel" if len(q.scales) > 1 else "per-tensor"
        wrong = [z for z in q.zero_points if z != 0]
        if wrong:
            return f"{form} weights need zero_point 0, not {wrong[0]}"
        if len(q.scales) > 1 and q.axis != axis:
            return f"per-channel weights need quantized_dimension {axis}, not {q.axis}"
        return None

    def constant_bias(op: Operands) -> str | None:
        position = max(x, weights) + 1
        bias = op.inputs[position] if position < len(op.inputs) else None
        if bias is None:
            return None
        expected = BIAS[op.present(x).dtype]
        if bias.data is None:
            return f"bias '{bias.name}' is computed, must be constant"
        if bias.dtype != expected:
            return f"bias '{bias.name}' is {bias.dtype}, must be {expected}"
        if expected == "int64" and op.attributes.get(BIAS_TYPE) == INT32:
            return f"bias '{bias.name}' is said to be int32, must be int64"
        if expected == "int64" and np.abs(bias.data).max(initial=0) >= 1 << 46:
            return f"bias '{bias.name}' does not fit 47 bits"
        q = bias.quantization
        wrong = [] if q is None else [z for z in q.zero_points if z != 0]
        return f"bias '{bias.name}' needs zero_point 0, not {wrong[0]}" if wrong else None

    def multiplier_of_int16(op: Operands) -> str | None:
        tensor = op.present(x)
        if tensor.dtype != "int16" or op.kind == "FULLY_CONNECTED":
            return None
        reals = real_multipliers(tensor, op.present(weights), op.output)
        if quantize_multiplier(float(reals.max()))[1] <= 7:
            return None
        return f"output scale {quantization_of(op.output).scale:g} is too small"

    dtype_of_weights.__doc__ = (
        f"Weights are {'constant ' * (not computed)}int8 or int4 for int8 and int16 activations, "
        "else of the activations' dtype; float32 ones are finite.")
    scales_of_weights.__doc__ = (
        "Weights of 8 bits have zero_point 0 and one scale or one an output channel; uint8 ones"
        f"{' and computed ones' * computed} have one scale and any zero_point.")
    constant_bias.__doc__ = (
        "The bias, if any, is constant int32, int64 for int16 activations, with zero point 0.")
    multiplier_of_int16.__doc__ = (
        "With int16 the product of the scales of input and weights is below 2^7 of the output's.")
    return (limits.one_dtype(x), limits.quantized(x), dtype_of_weights, scales_of_weights,
            constant_bias, limits.known_activation, limits.activation_in_range,
            multiplier_of_int16)
