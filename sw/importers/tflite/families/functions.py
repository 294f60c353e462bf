"""Functions of one operand that are tables, roots, or calls of the C library."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaniwa.golden.numbers.roots import rsqrt_multiplier
from kaniwa.golden.tflite.functions import table
from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Constraint, Operands, quantization_of

__all__ = ["OPERATORS"]

LARGEST_INT16_SCALE = 5.0  # of an input; LiteRT's multiplier leaves 16 bits a little above it


def _approximate(options: Any, op: Operands) -> dict[str, object]:
    return {"approximate": bool(options is not None and options.Approximate())}


def _pairs(op: Operands) -> tuple[tuple[float, float], tuple[int, int]]:
    x, out = quantization_of(op.x), quantization_of(op.output)
    return (x.scale, out.scale), (x.zero_point, out.zero_point)


def table_in_range(op: Operands) -> str | None:
    """Results over the output's scale fit an integer, for every input."""
    if op.x.dtype == "float32" or op.x.dtype == "int16" and op.kind in ("LOGISTIC", "TANH"):
        return None
    scales, zero_points = _pairs(op)
    try:
        table(op.kind, op.attributes, op.x.dtype, scales, zero_points)
    except OverflowError as error:
        return str(error)
    return None


def sigmoid_scale(op: Operands) -> str | None:
    """In int16 the input's scale is at most 5."""
    if op.x.dtype != "int16":
        return None
    scale = quantization_of(op.x).scale
    good = scale <= LARGEST_INT16_SCALE
    return None if good else f"input scale {scale:g} must be at most {LARGEST_INT16_SCALE:g}"


def _output_scale(sentence: str, scales: dict[str, float]) -> Constraint:
    """A constraint on the output's scale, by dtype; the sentence is what users read."""

    def check(op: Operands) -> str | None:
        expected = scales.get(op.output.dtype)
        if expected is None or quantization_of(op.output).scale == expected:
            return None
        return (f"output scale {quantization_of(op.output).scale:g} must be "
                f"1/{round(1 / expected)}")

    check.__doc__ = sentence
    return check


def root_in_range(op: Operands) -> str | None:
    """Roots over the output's scale fit an integer."""
    if op.x.dtype == "float32":
        return None
    scales, zero_points = _pairs(op)
    if op.kind == "RSQRT":
        good = rsqrt_multiplier(scales) < 2.0**30
    else:
        span = float(np.iinfo(op.x.dtype).max) - zero_points[0]
        good = np.sqrt(scales[0] * span) / scales[1] < 2.0**30
    return None if good else f"output scale {scales[1]:g} is too small for input {scales[0]:g}"


_SHAPES = (consistency.operand_count(1, 1), consistency.same_shape)
_ALIKE = (limits.one_dtype(0), limits.quantized(0))
_BYTES = {"int8": "litert_table", "uint8": "litert_table"}


def _function(kind: str, rules: dict[str, str], *more: Constraint, cases: int = 60) -> OperatorInfo:
    return OperatorInfo(
        kind, rules, consistency=_SHAPES, limits=(*_ALIKE, *more, table_in_range), cases=cases
    )


_SIGMOID = {**_BYTES, "int16": "litert_sigmoid_table", "float32": "float32_libm"}
_INT8_AND_16 = {"int8": "litert_table", "int16": "litert_table_int16", "float32": "float32_libm"}

OPERATORS = (
    _function(
        "LOGISTIC", _SIGMOID, sigmoid_scale,
        _output_scale("The output's scale is 1/256, of int16 1/32768.",
                      {"int8": 1 / 256, "uint8": 1 / 256, "int16": 1 / 32768}),
        cases=80,
    ),
    _function(
        "TANH", _SIGMOID, sigmoid_scale,
        _output_scale("In int16 the output's scale is 1/32768.", {"int16": 1 / 32768}),
        cases=80,
    ),
    _function("ELU", {"int8": "litert_table", "float32": "float32_libm"}, cases=40),
    OperatorInfo(
        "GELU",
        {**_BYTES, "int16": "litert_table_int16"},
        "GeluOptions",
        False,
        _approximate,
        _SHAPES,
        (*_ALIKE, table_in_range),
        cases=60,
    ),
    _function("EXP", _INT8_AND_16),
    _function("LOG", _INT8_AND_16),
    OperatorInfo(
        "SQRT",
        {"int8": "litert_truncated", "int16": "litert_truncated", "float32": "float32"},
        consistency=_SHAPES,
        limits=(*_ALIKE, root_in_range),
        cases=60,
    ),
    OperatorInfo(
        "RSQRT",
        {"int8": "litert_inverse_root", "int16": "litert_table_int16", "float32": "float32"},
        consistency=_SHAPES,
        limits=(*_ALIKE, root_in_range),
        cases=60,
    ),
)
