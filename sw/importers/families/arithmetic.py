"""Arithmetic of two operands, element by element."""

from __future__ import annotations

from kaniwa.golden.elementwise import add_multipliers, mul_multiplier
from kaniwa.golden.rounding import quantize_multiplier
from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Constraint, Operands, quantization_of
from kaniwa.importers.options import fused

__all__ = ["OPERATORS"]


def add_multiplier_in_range(op: Operands) -> str | None:
    """The output scale is at least 2^-19 of the larger input scale."""
    scales = [quantization_of(t).scale for t in (op.x, op.weights, op.output)]
    real = add_multipliers(*scales)[2]
    # LiteRT itself aborts otherwise; a multiplier that rounds up to 1 has shift 1.
    if real < 1.0 and quantize_multiplier(real)[1] <= 0:
        return None
    a, b, out = (f"{scale:g}" for scale in scales)
    return f"output scale {out} is too small for input scales {a} and {b}"


def mul_multiplier_in_range(op: Operands) -> str | None:
    """The product of the input scales is below 2^15 of the output scale."""
    scales = [quantization_of(t).scale for t in (op.x, op.weights, op.output)]
    # A product is below 2^16; with a left shift of 16 it may leave int32, which C++ leaves open.
    if quantize_multiplier(mul_multiplier(*scales))[1] <= 15:
        return None
    a, b, out = (f"{scale:g}" for scale in scales)
    return f"output scale {out} is too small for input scales {a} and {b}"


def _row(kind: str, rules: dict[str, str], options: str, *more: Constraint) -> OperatorInfo:
    return OperatorInfo(
        kind,
        rules,
        options,
        False,
        fused,
        (consistency.operand_count(2, 2), consistency.broadcast_shape),
        (
            limits.one_dtype(0, 1),
            limits.quantized(0, 1),
            limits.known_activation,
            limits.activation_in_range,
            *more,
        ),
    )


OPERATORS = (
    _row("ADD", {"int8": "litert_add"}, "AddOptions", add_multiplier_in_range),
    _row("SUB", {"int8": "litert_sub"}, "SubOptions", add_multiplier_in_range),
    _row("MUL", {"int8": "litert_mul"}, "MulOptions", mul_multiplier_in_range),
)
