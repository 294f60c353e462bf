"""Operators over the last axis: SOFTMAX, LOG_SOFTMAX, L2_NORMALIZATION."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaniwa.golden.tflite.softmax import input_multiplier, int16_input_multiplier
from kaniwa.graph import Tensor
from kaniwa.importers import consistency, limits, options
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, quantization_of

__all__ = ["OPERATORS"]

# (input, output) of SOFTMAX → scale and zero point of the output.
SOFTMAX_OUTPUTS = {
    ("int8", "int8"): (1 / 256, -128),
    ("int8", "int16"): (1 / 65536, -32768),
    ("uint8", "uint8"): (1 / 256, 0),
    ("uint8", "int16"): (1 / 65536, -32768),
    ("int16", "int16"): (1 / 32768, 0),
}
LONGEST = {"int8": 4095, "uint8": 4095, "int16": 65535}


def _beta(options: Any, op: Operands) -> dict[str, object]:
    return {"beta": float(options.Beta())}


def _differs(tensor: Tensor, scale: float, zero_point: int, tolerance: float) -> str | None:
    q = tensor.quantization
    if q is None or len(q.scales) != 1:
        return f"activation '{tensor.name}' needs one scale and zero point"
    if q.zero_point == zero_point and abs(q.scale - scale) <= tolerance * scale:
        return None
    return (f"output scale {q.scale:g} and zero point {q.zero_point} must be 1/{round(1 / scale)} "
            f"and {zero_point}")


def softmax_output(op: Operands) -> str | None:
    """SOFTMAX of bytes gives them with scale 1/256 or int16 with 1/65536; of int16 with 1/32768."""
    pair = op.x.dtype, op.output.dtype
    if pair == ("float32", "float32"):
        return None
    if pair not in SOFTMAX_OUTPUTS:
        return f"output '{op.output.name}' is {op.output.dtype}, which {op.x.dtype} does not give"
    return _differs(op.output, *SOFTMAX_OUTPUTS[pair], 0.001)


def softmax_size(op: Operands) -> str | None:
    """SOFTMAX runs over 1 to 4095 bytes, or up to 65535 values of int16."""
    size = op.x.shape[-1] if op.x.shape else 0
    longest = LONGEST.get(op.x.dtype, limits.MAXIMUM_LENGTH)
    return None if 1 <= size <= longest else f"runs over {size} values, must be 1 to {longest}"


def softmax_rank(op: Operands) -> str | None:
    """SOFTMAX of int16 has at most 4 dimensions."""
    rank = len(op.x.shape)
    good = op.x.dtype != "int16" or rank <= 4
    return None if good else f"has {rank} dimensions, at most 4 are supported"


def softmax_beta(op: Operands) -> str | None:
    """SOFTMAX has a beta > 0 with beta · input scale > 2^-26, and below 2.5 for int16."""
    beta = float(str(op.attributes["beta"]))
    if not (np.isfinite(beta) and beta > 0):
        return f"beta {beta:g} must be a positive number"
    if op.x.dtype == "float32":
        return None
    scale = quantization_of(op.x).scale
    if op.x.dtype == "int16":
        good = int16_input_multiplier(beta, scale) < 1 << 14
        return None if good else f"beta {beta:g} is too large for input scale {scale:g}"
    good = input_multiplier(beta, scale) > 1.0
    return None if good else f"beta {beta:g} is too small for input scale {scale:g}"


def log_softmax_output(op: Operands) -> str | None:
    """The output of LOG_SOFTMAX has scale 1/16; its zero point is the largest value."""
    if op.x.dtype == "float32":
        return None
    return _differs(op.output, 1 / 16, int(np.iinfo(op.output.dtype).max), 0)


def log_softmax_input(op: Operands) -> str | None:
    """LOG_SOFTMAX of bytes runs over 1 to 4095 values with an input scale of at least 2^-25."""
    if op.x.dtype == "float32":
        return None
    size, scale = op.x.shape[-1] if op.x.shape else 0, quantization_of(op.x).scale
    if not 1 <= size <= 4095:
        return f"runs over {size} values, must be 1 to 4095"
    return None if scale >= 2.0**-25 else f"input scale {scale:g} is too small"


def norm_output(op: Operands) -> str | None:
    """The output of L2_NORMALIZATION has scale 1/128; its zero point is 0, of uint8 128."""
    if op.x.dtype == "float32":
        return None
    return _differs(op.output, 1 / 128, 0 if op.x.dtype == "int8" else 128, 0)


def norm_size(op: Operands) -> str | None:
    """L2_NORMALIZATION runs over 1 to 33024 values."""
    size = op.x.shape[-1] if op.x.shape else 0
    return None if 1 <= size <= 33024 else f"runs over {size} values, must be 1 to 33024"


def no_activation(op: Operands) -> str | None:
    """L2_NORMALIZATION has no fused activation."""
    name = op.attributes["activation"]
    return None if name == "NONE" else f"fused activation {name} is not supported"


_SHAPES = (consistency.operand_count(1, 1), consistency.same_shape)

OPERATORS = (
    OperatorInfo(
        "SOFTMAX",
        {
            "int8": "litert_softmax",
            "uint8": "litert_softmax",
            "int16": "litert_softmax_tables",
            "float32": "float32_libm",
        },
        "SoftmaxOptions",
        True,
        _beta,
        _SHAPES,
        (
            limits.input_quantized,
            softmax_rank,
            softmax_size,
            softmax_output,
            softmax_beta,
        ),
        cases=120,
    ),
    OperatorInfo(
        "LOG_SOFTMAX",
        {"int8": "litert_softmax", "uint8": "litert_softmax", "float32": "float32_libm"},
        consistency=_SHAPES,
        limits=(
            limits.one_dtype(0), limits.quantized(0), log_softmax_input, log_softmax_output,
        ),
        cases=60,
    ),
    OperatorInfo(
        "L2_NORMALIZATION",
        {"int8": "litert_inverse_root", "uint8": "litert_inverse_root", "float32": "float32"},
        "L2NormOptions",
        False,
        options.fused,
        _SHAPES,
        (limits.one_dtype(0), limits.quantized(0), norm_size, norm_output, no_activation),
        cases=60,
    ),
)
