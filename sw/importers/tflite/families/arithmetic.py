"""Arithmetic of one or two operands, element by element."""

from __future__ import annotations

import math
from typing import Any

from kaniwa.golden.numbers.rounding import quantize_multiplier
from kaniwa.golden.tflite.arithmetic import (
    abs_multiplier,
    add_multipliers,
    div_multiplier,
    mul_multiplier,
    squared_difference_multipliers,
)
from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Constraint, Operands, quantization_of
from kaniwa.importers.options import fused

__all__ = ["OPERATORS"]

PLAIN = {"int32": "exact", "int64": "exact", "float32": "float32"}


def _scales(op: Operands) -> tuple[float, float, float]:
    a, b, out = (quantization_of(t).scale for t in (op.x, op.weights, op.output))
    return a, b, out


def _quantized(op: Operands) -> bool:
    return op.x.dtype in limits.QUANTIZED


def _too_small(op: Operands) -> str:
    a, b, out = (f"{scale:g}" for scale in _scales(op))
    return f"output scale {out} is too small for input scales {a} and {b}"


def add_multiplier_in_range(op: Operands) -> str | None:
    """The output scale is at least 2^-19 of the larger input scale, with int16 2^-14."""
    if not _quantized(op):
        return None
    real = add_multipliers(*_scales(op), dtype=op.x.dtype)[2]
    # LiteRT itself aborts otherwise; a multiplier that rounds up to 1 has shift 1.
    return None if real < 1.0 and quantize_multiplier(real)[1] <= 0 else _too_small(op)


def not_by_shifts(op: Operands) -> str | None:
    """int16 is not computed by shifts (pot_scale_int16 with scales that are powers of two)."""
    if op.x.dtype != "int16" or not op.attributes["by_shifts"]:
        return None
    # LiteRT takes a scale as a power of two if its logarithm is within 10^-3 of an integer.
    logarithms = [math.log2(scale) for scale in _scales(op)]
    if all(abs(value - round(value)) < 1.1e-3 for value in logarithms):
        return "int16 operands with scales that are powers of two are added by shifts"
    return None


def mul_multiplier_in_range(op: Operands) -> str | None:
    """The product of the input scales is below 2^15 of the output scale, with int16 1."""
    # A product is below 2^16; with a left shift of 16 it may leave int32, which C++ leaves open.
    if not _quantized(op):
        return None
    most = 0 if op.x.dtype == "int16" else 15
    return None if quantize_multiplier(mul_multiplier(*_scales(op)))[1] <= most else _too_small(op)


def div_multiplier_in_range(op: Operands) -> str | None:
    """The input scale over the divisor's and the output's is 2^6 to 2^21 for quantised operands."""
    if not _quantized(op):
        return None
    # Beyond, LiteRT shifts by more than 31 bits or by less than none for some operands.
    shift = quantize_multiplier(div_multiplier(*_scales(op)))[1]
    if 7 <= shift <= 21:
        return None
    a, b, out = (f"{scale:g}" for scale in _scales(op))
    return f"scales {a} / ({b} · {out}) are outside 2^6..2^21"


def difference_multiplier_in_range(op: Operands) -> str | None:
    """The square of the larger input scale is at most 2^11 of the output scale."""
    if not _quantized(op):
        return None
    # A square is below 2^31, so there is no room for a left shift.
    shift = quantize_multiplier(squared_difference_multipliers(*_scales(op))[2])[1]
    return None if shift <= 0 else _too_small(op)


def abs_multiplier_in_range(op: Operands) -> str | None:
    """The input scale is below 2^15 of the output scale."""
    if not _quantized(op):
        return None
    x, out = quantization_of(op.x).scale, quantization_of(op.output).scale
    if quantize_multiplier(abs_multiplier(x, out))[1] <= 15:
        return None
    return f"output scale {out:g} is too small for input scale {x:g}"


def _sum(options: Any, op: Operands) -> dict[str, object]:
    """``by_shifts`` is decided by the scales too, see ``not_by_shifts``."""
    return {**fused(options, op), "by_shifts": options is None or bool(options.PotScaleInt16())}


def _without_shifts(op: Operands) -> dict[str, object]:
    return {"activation": op.attributes["activation"]}


def _row(kind: str, rules: dict[str, str], options: str, *more: Constraint,
         read: Any = fused, finish: Any = lambda op: dict(op.attributes)) -> OperatorInfo:
    return OperatorInfo(
        kind, rules, options, False, read,
        (consistency.operand_count(2, 2), consistency.broadcast_shape),
        (limits.one_dtype(0, 1), limits.quantized(0, 1), limits.known_activation,
         limits.activation_in_range, *more),
        finish)


def _plain(kind: str, rules: dict[str, str], *more: Constraint) -> OperatorInfo:
    """Two operands and no options that matter."""
    return OperatorInfo(
        kind, rules,
        consistency=(consistency.operand_count(2, 2), consistency.broadcast_shape),
        limits=(limits.one_dtype(0, 1), limits.quantized(0, 1), limits.broadcast_rank, *more))


def _unary(kind: str, rules: dict[str, str], *more: Constraint) -> OperatorInfo:
    return OperatorInfo(
        kind, rules, consistency=(consistency.operand_count(1, 1), consistency.same_shape),
        limits=(limits.one_dtype(0), limits.quantized(0), *more))


def _three(rule: str) -> dict[str, str]:
    return dict.fromkeys(("int8", "uint8", "int16"), rule)


_EVERY = dict.fromkeys(("int8", "uint8", "int16", "int32", "int64", "float32"), "exact")

OPERATORS = (
    _row("ADD", {**_three("litert_add"), **PLAIN}, "AddOptions", add_multiplier_in_range,
         not_by_shifts, read=_sum, finish=_without_shifts),
    _row("SUB", {**_three("litert_sub"), **PLAIN}, "SubOptions", add_multiplier_in_range,
         not_by_shifts, limits.broadcast_rank, read=_sum, finish=_without_shifts),
    _row("MUL", {**_three("litert_mul"), **PLAIN}, "MulOptions", mul_multiplier_in_range),
    _row("DIV", {"int8": "litert_div", "uint8": "litert_div", "int32": "exact",
                 "float32": "float32"}, "DivOptions", div_multiplier_in_range,
         limits.broadcast_rank),
    _plain("FLOOR_DIV", {"int8": "exact", "int16": "exact", "int32": "exact",
                         "float32": "float32"}),
    _plain("MAXIMUM", _EVERY),
    _plain("MINIMUM", _EVERY),
    _plain("SQUARED_DIFFERENCE", {"int8": "litert_squared_difference", "int32": "exact",
                                  "float32": "float32"}, difference_multiplier_in_range),
    _unary("NEG", {"int8": "exact", "int16": "exact", "int32": "exact", "int64": "exact",
                   "float32": "float32"}),
    _unary("ABS", {"int8": "litert_abs", "int16": "litert_abs", "int32": "exact",
                   "float32": "float32"}, abs_multiplier_in_range),
)
