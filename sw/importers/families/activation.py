"""Functions of one operand."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaniwa.golden.softmax import input_multiplier
from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, quantization_of

__all__ = ["OPERATORS"]


def _beta(options: Any, op: Operands) -> dict[str, object]:
    return {"beta": float(options.Beta())}


def softmax_output(op: Operands) -> str | None:
    """The output of SOFTMAX has scale 1/256 and zero point -128."""
    q = quantization_of(op.output)
    good = q.zero_point == -128 and abs(q.scale - 1 / 256) <= 0.001 / 256
    return (
        None
        if good
        else (f"output scale {q.scale:g} and zero point {q.zero_point} must be 1/256 and -128")
    )


def softmax_size(op: Operands) -> str | None:
    """SOFTMAX runs over 1 to 511 values."""
    size = op.x.shape[-1] if op.x.shape else 0
    return None if 1 <= size <= 511 else f"runs over {size} values, must be 1 to 511"


def softmax_beta(op: Operands) -> str | None:
    """SOFTMAX has a beta > 0 with beta · input scale > 2^-26."""
    beta = float(str(op.attributes["beta"]))
    real = input_multiplier(beta, quantization_of(op.x).scale)
    good = np.isfinite(beta) and beta > 0 and real > 1.0
    return (
        None
        if good
        else f"beta {beta:g} is too small for input scale {quantization_of(op.x).scale:g}"
    )


def _relu(kind: str) -> OperatorInfo:
    return OperatorInfo(
        kind,
        {"int8": "litert_double_rounding"},
        consistency=(consistency.operand_count(1, 1), consistency.same_shape),
        limits=(limits.one_dtype(0), limits.quantized(0), limits.activation_in_range),
    )


OPERATORS = (
    _relu("RELU"),
    _relu("RELU6"),
    OperatorInfo(
        "SOFTMAX",
        {"int8": "litert_softmax"},
        "SoftmaxOptions",
        True,
        _beta,
        (consistency.operand_count(1, 1), consistency.same_shape),
        (
            limits.one_dtype(0),
            limits.quantized(0),
            softmax_size,
            softmax_output,
            softmax_beta,
        ),
    ),
)
