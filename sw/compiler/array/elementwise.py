"""ADD, SUB, MUL as tables: two and a rescaling for two operands, one int8 map for a single one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.layers import Sum
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import (
    Int64,
    Rule,
    double_rounding,
    exact,
    float_half_even,
    listed,
    prove_values,
)
from kaniwa.errors import CompileError, UnsupportedError
from kaniwa.graph import Graph, Op, Quantization, Tensor
from kaniwa.isa import Rounding

__all__ = ["SQUARE_SHIFT", "has_one_value", "product_scale", "square_of", "sum_of",
           "sum_scales", "table_of"]

LEFT_SHIFT = 20      # fractional bits of the common scale in LiteRT's ADD and SUB
SQUARE_SHIFT = 7     # those of SQUARED_DIFFERENCE
VALUES = np.arange(-128, 128, dtype=np.int64)
Bounds = tuple[int, int]


def has_one_value(tensor: Tensor) -> bool:
    """True for a constant with the same value everywhere."""
    data = tensor.data
    return data is not None and data.size > 0 and bool((data == data.flat[0]).all())


def sum_of(graph: Graph, op: Op, operand: int, bounds: Bounds, bits: int, where: str) -> Sum:
    """ADD, SUB or MUL as two tables and a rescaling, proved over all sums or products of entries.

    Table 0 belongs to the op's first input; SUB's second table is negative. Raises CompileError
    where no rescaling is exact.
    """
    if not _is_real_sum(op):
        return _proved(_parts(graph, op, where), operand, bounds, bits, where)
    a, b, out = _quantizations(graph, op)
    try:
        return _proved((np.add, *_real_sum(graph, op, max(a.scale, b.scale), where)), operand,
                       bounds, bits, where)
    except CompileError:    # halves are exact in steps of the result, not in those of an operand
        return _proved((np.add, *_real_sum(graph, op, out.scale, where)), operand, bounds, bits,
                       where)


def _proved(parts: tuple[np.ufunc, Int64, Rule, int], operand: int, bounds: Bounds, bits: int,
            where: str) -> Sum:
    combine, tables, rule, zero_point = parts
    combined = np.sort(combine(tables[0][:, None], tables[1][None, :]), axis=None)
    combined = combined[np.diff(combined, prepend=combined[0] - 1) != 0]    # np.unique, but faster
    rescale = prove_values(rule, combined, zero_point, bounds, bits, where)
    return Sum(operand, tables.astype(np.int32), rescale, multiply=combine is np.multiply)


def table_of(graph: Graph, op: Op, bounds: Bounds, where: str) -> npt.NDArray[np.int8]:
    """The result for each value of the one operand that is not a constant, or that is both of
    them; index = value + 128."""
    first, second = _places(graph, op)
    if _is_real_sum(op):
        real, out = _real_operands(graph, op), quantization(graph.tensors[op.outputs[0]])
        result = _rounded(real[0][first] + real[1][second], out) + out.zero_point
    else:
        combine, tables, rule, zero_point = _parts(graph, op, where)
        combined = combine(tables[0][first], tables[1][second])
        result = rule.function(combined[None])[0] + zero_point
    return np.clip(result, *bounds).astype(np.int8)


def _places(graph: Graph, op: Op) -> tuple[Int64, Int64]:
    """The values of each operand, plus 128, where one is a constant, or where both are one
    tensor."""
    every = VALUES + 128
    if op.inputs[0] == op.inputs[1]:
        return every, every
    constant = next(p for p, i in enumerate(op.inputs) if has_one_value(graph.tensors[i]))
    data = graph.tensors[op.inputs[constant]].data
    assert data is not None
    one = np.full(len(every), int(data.flat[0]) + 128)
    return (one, every) if constant == 0 else (every, one)


def _is_real_sum(op: Op) -> bool:
    """True for a sum or a difference by rule ``qdq``."""
    return (op.rule == "qdq" and "of_bytes" not in op.attributes
            and "MUL" not in (op.kind, op.attributes.get("source_kind")))


def _parts(graph: Graph, op: Op, where: str) -> tuple[np.ufunc, Int64, Rule, int]:
    """The function that combines the operands' entries, their tables [2, 256], the result's rule.

    Last comes the output's zero point. A difference ``of_bytes`` has two signs and a number that
    is added, whatever the operands' steps are.
    """
    if (of_bytes := op.attributes.get("of_bytes")) is not None:
        assert isinstance(of_bytes, tuple)
        first, second, more = of_bytes
        return np.add, np.stack([first * VALUES, second * VALUES + more]), exact(1), 0
    if op.rule == "litert_mul":
        return np.multiply, *_product(graph, op)
    if op.rule == "qdq":
        return np.multiply, *_product(graph, op)
    return np.add, *_sum(graph, op, where)


def sum_scales(a: Quantization, b: Quantization, out: Quantization,
               left_shift: int) -> tuple[float, float, float]:
    """The factors by which LiteRT's ADD and SUB rescale each operand, to a common scale with
    ``left_shift`` fractional bits, and then the result."""
    twice = 2.0 * max(a.scale, b.scale)
    return a.scale / twice, b.scale / twice, twice / ((1 << left_shift) * out.scale)


def square_of(a: Quantization, b: Quantization, out: Quantization) -> tuple[int, Int64, float]:
    """LiteRT's SQUARED_DIFFERENCE as end((table[fine] - 2^6 * coarse)^2): the number of the coarse
    operand, the table of the fine one (index = value + 128), and the factor of the end.

    The larger of the scales is half of the common one, so that its operand has no rounding.
    """
    coarse = int(b.scale > a.scale)
    large, small = (b, a) if coarse else (a, b)
    twice = 2.0 * large.scale
    scaled = double_rounding(small.scale / twice).function(
        (VALUES - small.zero_point << SQUARE_SHIFT)[None])[0]
    table = scaled + (large.zero_point << SQUARE_SHIFT - 1)
    return coarse, table, twice * twice / ((1 << 2 * SQUARE_SHIFT) * out.scale)


def product_scale(a: Quantization, b: Quantization, out: Quantization) -> float:
    """The factor by which LiteRT's MUL rescales a product, computed in float32."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(a.scale) * np.float32(b.scale) / np.float32(out.scale))


def _product(graph: Graph, op: Op) -> tuple[Int64, Rule, int]:
    a, b, out = _quantizations(graph, op)
    tables = np.stack([VALUES - a.zero_point, VALUES - b.zero_point])
    if op.rule == "qdq":
        return tables, float_half_even(a.scale * b.scale / out.scale), out.zero_point
    return tables, double_rounding(product_scale(a, b, out)), out.zero_point


def _sum(graph: Graph, op: Op, where: str) -> tuple[Int64, Rule, int]:
    signs = {"litert_add": 1, "litert_sub": -1}
    if op.rule not in signs:
        raise UnsupportedError(f"{where}: unknown rounding rule '{op.rule}'")
    a, b, out = _quantizations(graph, op)
    *operands, result = sum_scales(a, b, out, LEFT_SHIFT)
    tables = [_common(q, real) for q, real in zip((a, b), operands, strict=True)]
    return (np.stack([tables[0], signs[op.rule] * tables[1]]), double_rounding(result),
            out.zero_point)


def _real_sum(graph: Graph, op: Op, unit: float, where: str) -> tuple[Int64, Rule, int]:
    """Rule ``qdq``: (a * sa +- b * sb) / sy in float64, half to even.

    Tables in steps of ``unit`` / 2^bits; good if each sum of entries has one result and the results
    grow with it.
    """
    out = quantization(graph.tensors[op.outputs[0]])
    first, second = _real_operands(graph, op)
    results = _rounded(first[:, None] + second[None, :], out).reshape(-1)
    largest = (np.abs(first).max() + np.abs(second).max()) / unit
    # A sum has 31 bits with the sign: of a scale as the unit, 9 before the point.
    most = min(21, 30 - math.frexp(largest)[1])
    for bits in range(most, 7, -1):
        tables = np.stack([np.rint(np.ldexp(part / unit, bits)).astype(np.int64)
                           for part in (first, second)])
        sums = (tables[0][:, None] + tables[1][None, :]).reshape(-1)
        values, places = np.unique(sums, return_index=True)
        of_value = results[places]
        if (np.diff(of_value) >= 0).all() and (
                of_value[np.searchsorted(values, sums)] == results).all():
            slope = math.ldexp(unit / out.scale, -bits)
            return tables, listed(values, of_value, slope, Rounding.EVEN), out.zero_point
    raise CompileError(f"{where}: no tables reproduce its rounding exactly; leave it to the host")


def _real_operands(graph: Graph, op: Op) -> tuple[np.ndarray, np.ndarray]:
    """What each value of the operands adds to a sum, or takes off it."""
    a, b, _ = _quantizations(graph, op)
    sign = -1 if op.attributes["source_kind"] == "SUB" else 1
    return (VALUES - a.zero_point) * a.scale, sign * ((VALUES - b.zero_point) * b.scale)


def _rounded(total: np.ndarray, out: Quantization) -> Int64:
    """Sums by rule ``qdq``, less the zero point."""
    return np.rint(np.clip(total / out.scale, -2.0**31, 2.0**31)).astype(np.int64)


def _common(q: Quantization, real: float) -> Int64:
    """Every int8 value on the common scale."""
    shifted = (VALUES - q.zero_point) << LEFT_SHIFT
    function: Callable[[Int64], Int64] = double_rounding(real).function
    return function(shifted[None])[0]


def _quantizations(graph: Graph, op: Op) -> tuple[Quantization, Quantization, Quantization]:
    a, b, out = (quantization(graph.tensors[i]) for i in (*op.inputs, op.outputs[0]))
    return a, b, out
