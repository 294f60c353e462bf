"""Clamps and functions of two straight lines: the RELU family, LEAKY_RELU, PRELU, HARD_SWISH."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kaniwa.golden.tflite.activation import FLOAT_BOUNDS, hard_swish_multipliers
from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, quantization_of, shape_of

__all__ = ["OPERATORS"]

# A multiplier's left shift that products of these bits stand without leaving int32.
LARGEST_SHIFT = {"int8": 22, "uint8": 22, "int16": 14}


def _alpha(options: Any, op: Operands) -> dict[str, object]:
    return {"alpha": float(options.Alpha())}


def bounds_in_range(op: Operands) -> str | None:
    """The clamp's bounds over the output's scale fit an integer."""
    if op.x.dtype == "float32":
        return None
    scale = quantization_of(op.output).scale
    # LiteRT refuses quotients beyond int32; half of that keeps the zero point's addition inside.
    bound = max(abs(b) for b in FLOAT_BOUNDS[op.kind] if np.isfinite(b))
    good = bound / scale < 2.0**30
    return None if good else f"output scale {scale:g} is too small for the bound {bound:g}"


def rescale_in_range(op: Operands) -> str | None:
    """The input's scale is below 2^22 of the output's, for int16 below 2^14."""
    if op.x.dtype == "float32":
        return None
    x, out = quantization_of(op.x).scale, quantization_of(op.output).scale
    good = x / out < 2.0 ** LARGEST_SHIFT[op.x.dtype]
    return None if good else f"output scale {out:g} is too small for input scale {x:g}"


def slope_in_range(op: Operands) -> str | None:
    """The slope of LEAKY_RELU is a number, and with it the input's scale is in the same range."""
    alpha = float(str(op.attributes["alpha"]))
    if not math.isfinite(alpha):
        return f"alpha {alpha:g} must be a number"
    if op.x.dtype == "float32":
        return None
    x, out = quantization_of(op.x).scale, quantization_of(op.output).scale
    good = abs(alpha) * x / out < 2.0 ** LARGEST_SHIFT[op.x.dtype]
    return None if good else f"output scale {out:g} is too small for alpha {alpha:g} · {x:g}"


def slopes_in_range(op: Operands) -> str | None:
    """The product of the scales of PRELU's input and alpha is below 2^14 of the output's."""
    if op.x.dtype == "float32":
        return None
    x, alpha, out = (quantization_of(t).scale for t in (op.x, op.weights, op.output))
    good = alpha * x / out < 2.0**14
    return None if good else f"output scale {out:g} is too small for scales {x:g} and {alpha:g}"


def four_dimensions(op: Operands) -> str | None:
    """PRELU has at most 4 dimensions."""
    rank = len(op.x.shape)
    return None if rank <= 4 else f"has {rank} dimensions, at most 4 are supported"


def alpha_shape(op: Operands) -> str | None:
    """``alpha`` must broadcast to the input's shape."""
    try:
        expected: tuple[int, ...] | None = np.broadcast_shapes(op.x.shape, op.weights.shape)
    except ValueError:
        expected = None
    good = expected == op.x.shape
    return None if good else f"alpha {shape_of(op.weights)} does not fit input {shape_of(op.x)}"


def gate_in_range(op: Operands) -> str | None:
    """HARD_SWISH: output over input scale in 2^-7..2^9, the input's in 2^-22..2^24."""
    if op.x.dtype == "float32":
        return None
    x, out = quantization_of(op.x).scale, quantization_of(op.output).scale
    (_, output_exponent), (_, exponent) = hard_swish_multipliers((x, out))
    good = -15 <= output_exponent <= 0 and -15 <= exponent <= 31
    return None if good else f"scales {x:g} and {out:g} of input and output are too far apart"


_SHAPES = (consistency.operand_count(1, 1), consistency.same_shape)
_ALIKE = (limits.one_dtype(0), limits.quantized(0))
_ROUNDED = {"int8": "litert_double_rounding", "uint8": "litert_double_rounding"}


def _relu(kind: str, rules: dict[str, str]) -> OperatorInfo:
    return OperatorInfo(
        kind,
        {**rules, "float32": "float32"},
        consistency=_SHAPES,
        limits=(*_ALIKE, bounds_in_range, rescale_in_range),
        cases=40,
    )


OPERATORS = (
    _relu("RELU", {**_ROUNDED, "int16": "litert_double_rounding"}),
    _relu("RELU6", {**_ROUNDED, "int16": "litert_double_rounding"}),
    _relu("RELU_N1_TO_1", _ROUNDED),
    _relu("RELU_0_TO_1", _ROUNDED),
    OperatorInfo(
        "LEAKY_RELU",
        {**_ROUNDED, "int16": "litert_double_rounding", "float32": "float32"},
        "LeakyReluOptions",
        True,
        _alpha,
        _SHAPES,
        (*_ALIKE, rescale_in_range, slope_in_range),
        cases=60,
    ),
    OperatorInfo(
        "PRELU",
        {**_ROUNDED, "float32": "float32"},
        consistency=(consistency.operand_count(2, 2), consistency.same_shape, alpha_shape),
        limits=(
            limits.every_dtype, limits.every_quantized, four_dimensions, rescale_in_range,
            slopes_in_range,
        ),
        cases=60,
    ),
    OperatorInfo(
        "HARD_SWISH",
        {"int8": "litert_hard_swish", "uint8": "litert_hard_swish", "float32": "float32"},
        consistency=_SHAPES,
        limits=(*_ALIKE, gate_in_range),
        cases=60,
    ),
)
