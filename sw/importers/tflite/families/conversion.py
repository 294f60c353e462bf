"""From one dtype or scale to another."""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import quantize_multiplier
from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, quantization_of

__all__ = ["OPERATORS"]

# What the reference takes each dtype to.
TARGETS = {
    "float32": ("int8", "uint8", "int16"),
    "int8": ("int8", "uint8", "int16"),
    "uint8": ("int8", "uint8", "int16"),
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
}
CASTS = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool", "complex64")


def quantize_targets(op: Operands) -> str | None:
    """float32 becomes int8, uint8 or int16; int8, uint8, int16 and int32 one another in part."""
    if op.output.dtype not in TARGETS[op.x.dtype]:
        return f"{op.x.dtype} does not become {op.output.dtype}"
    return None


def scales_of_both(op: Operands) -> str | None:
    """Both integer operands have one scale, and a zero point in their range."""
    for tensor in (op.x, op.output):
        if tensor.dtype == "float32":
            continue
        q = tensor.quantization
        if q is None or len(q.scales) != 1:
            return f"'{tensor.name}' needs one scale and zero point"
        ends = np.iinfo(tensor.dtype)
        if not ends.min <= q.zero_point <= ends.max:
            return f"'{tensor.name}' has zero point {q.zero_point} outside {tensor.dtype}"
        if tensor.dtype in ("int16", "int32") and q.zero_point != 0:
            return f"'{tensor.name}' is {tensor.dtype} with zero point {q.zero_point}, must be 0"
    return None


def quotient_in_range(op: Operands) -> str | None:
    """The input scale is at most 2^15 of the output scale, 2^7 with int16, 1 with int32."""
    if op.x.dtype == "float32":
        return None
    most = {"int16": 7, "int32": 0}.get(op.x.dtype, 15)
    x, out = quantization_of(op.x).scale, quantization_of(op.output).scale
    return (None if quantize_multiplier(x / out)[1] <= most
            else f"output scale {out:g} is too small for input scale {x:g}")


def float_output(op: Operands) -> str | None:
    """The output is float32; the input has scales, one or per axis."""
    if op.output.dtype != "float32":
        return f"output is {op.output.dtype}, must be float32"
    q = op.x.quantization
    if q is None:
        return f"'{op.x.name}' needs a scale and zero point"
    if len(q.scales) > 1 and op.x.dtype == "int16":
        return f"'{op.x.name}' is int16 with several scales"
    return None


def not_to_complex(op: Operands) -> str | None:
    """The result is not complex64."""
    return f"output is {op.output.dtype}" if op.output.dtype == "complex64" else None


_SAME = (consistency.operand_count(1, 1), consistency.same_shape)

OPERATORS = (
    OperatorInfo(
        "QUANTIZE",
        {"float32": "litert_quantize", **dict.fromkeys(("int8", "uint8", "int16", "int32"),
                                                       "litert_double_rounding")},
        consistency=_SAME, limits=(quantize_targets, scales_of_both, quotient_in_range)),
    OperatorInfo(
        "DEQUANTIZE", dict.fromkeys(limits.QUANTIZED, "float32"),
        consistency=_SAME, limits=(float_output,)),
    OperatorInfo("CAST", dict.fromkeys(CASTS, "exact"), consistency=_SAME,
                 limits=(not_to_complex,)),
)
