"""Reductions along axes."""

from __future__ import annotations

import math
from typing import Any

from kaniwa.golden.numbers.rounding import quantize_multiplier
from kaniwa.golden.tflite.reduction import mean_multiplier
from kaniwa.importers import consistency, limits
from kaniwa.importers.consistency import axis_in, output_is
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Constraint, Operands, OptionError, quantization_of

__all__ = ["OPERATORS"]

INDICES = {2: "int32", 4: "int64"}
Shape = tuple[int, ...]


def _axes(options: Any, op: Operands) -> dict[str, object]:
    axes = {axis_in(i, len(op.x.shape)) for i in op.numbers(1)}
    if not axes:
        raise OptionError("reduces no axis")
    return {"axes": tuple(sorted(axes)), "keep": bool(options.KeepDims())}


def _reduced(op: Operands) -> Shape:
    axes, shape = op.several("axes"), op.x.shape
    if op.attributes["keep"]:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _without_keep(op: Operands) -> dict[str, object]:
    return {"axes": op.attributes["axes"]}


def _axis(options: Any, op: Operands) -> dict[str, object]:
    axes = op.numbers(1)
    if len(axes) != 1:
        raise OptionError(f"has {len(axes)} axes, must have 1")
    return {"axis": axis_in(axes[0], len(op.x.shape))}


def _one_less(op: Operands) -> Shape:
    axis = op.integer("axis")
    return (*op.x.shape[:axis], *op.x.shape[axis + 1:])


def reduced_scale_in_range(op: Operands) -> str | None:
    """The input scale is below 2^30 of the output's, for MEAN times the number of values."""
    if op.x.dtype not in limits.QUANTIZED:
        return None
    x, out = quantization_of(op.x).scale, quantization_of(op.output).scale
    count = math.prod(op.x.shape[i] for i in op.several("axes"))
    # A left shift by 31 bits is undefined in C++ for any sum.
    pair = mean_multiplier(x / out, count) if op.kind == "MEAN" else quantize_multiplier(x / out)
    return (None if pair[1] <= 30
            else f"output scale {out:g} is too small for input scale {x:g} and {count} values")


def sums_have_a_scale(op: Operands) -> str | None:
    """The scales of SUM's quantised input and output differ (if not, the reference wraps)."""
    if op.x.dtype not in limits.QUANTIZED:
        return None
    if quantization_of(op.x).scale == quantization_of(op.output).scale:
        return "input and output have the same scale, for which sums are not defined"
    return None


def index_output(op: Operands) -> str | None:
    """The output is int32 or int64."""
    if op.output.dtype not in INDICES.values():
        return f"output is {op.output.dtype}, must be int32 or int64"
    return None


def _row(kind: str, rules: dict[str, str], *more: Constraint) -> OperatorInfo:
    return OperatorInfo(
        kind, rules, "ReducerOptions", True, _axes,
        (consistency.operand_count(2, 2), output_is(_reduced)),
        (limits.one_dtype(0), limits.quantized(0), *more),
        _without_keep, {1: "axes"})


def _arg(kind: str) -> OperatorInfo:
    return OperatorInfo(
        kind, dict.fromkeys(("int8", "uint8", "int32", "float32", "bool"), "exact"),
        "", False, _axis,
        (consistency.operand_count(2, 2), output_is(_one_less)),
        (index_output,), constants={1: "axis"})


_PLAIN = {"int32": "exact", "int64": "exact", "float32": "float32"}
_EVERY = dict.fromkeys(("int8", "uint8", "int16", "int32", "int64", "float32", "bool"), "exact")

OPERATORS = (
    _row("MEAN", {"int8": "litert_mean", "uint8": "litert_mean", "int16": "litert_mean", **_PLAIN},
         reduced_scale_in_range),
    _row("SUM", {"int8": "litert_sum_as_uint8", "uint8": "litert_sum", **_PLAIN},
         sums_have_a_scale, reduced_scale_in_range),
    _row("REDUCE_MAX", _EVERY, limits.same_quantization),
    _row("REDUCE_MIN", _EVERY, limits.same_quantization),
    _arg("ARG_MAX"),
    _arg("ARG_MIN"),
)
