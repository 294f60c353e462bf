"""Rewrites operators to the few that the accelerator has.

Left over are CONV_2D, DEPTHWISE_CONV_2D (depth multiplier 1), MAX_POOL_2D, MUL and ADD (also SUB:
its rule tells) of equal shapes, TRANSPOSE of [outer, first, second, run] to [outer, second, first,
run], TABLE (a function of one operand, or an elementwise operator of one and a constant of one
value, of one twice, or of two functions of one where the target has no product), COPY, PIECES
(convolutions that each make a part of a result), the VECTOR_KINDS, SUMS and LSTM (products with
the inputs of all steps, and the steps), SEQUENCE (both, on the cell unit) or SEQUENCE_SUMS before
it (the products with the inputs), WIDE (what is of int16, element by element) and WIDE_SUMS
(what ends one that sums), and RESHAPE, which moves no data. A
rewritten operator keeps its rounding rule and, as attributes, what it was (``source_kind``) and the
products of one result in the model (``taps``).
"""

from __future__ import annotations

from dataclasses import replace

from kaniwa.compiler.operators.table import OPERATORS, is_wide
from kaniwa.compiler.plan.operands import describe
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.rewrite.one_tensor import product_of_one
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.compiler.rewrite.uint8_to_int8 import int8_operators
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import UnsupportedError
from kaniwa.graph import Graph, Op

__all__ = ["legalize", "rewritten"]


def legalize(plan: Plan) -> Plan:
    """Rewrite every operator."""
    rewriter = Rewriter(plan.graph, plan.config, plan.time_multiplexed, plan.in_blocks)
    for op in plan.graph.ops:
        _rewrite(rewriter, op)
    return replace(plan, graph=replace(plan.graph, tensors=tuple(rewriter.tensors),
                                       ops=tuple(rewriter.ops)))


def rewritten(graph: Graph, op: Op, config: AcceleratorConfig) -> list[Op]:
    """The operators that become of one of ``graph``.

    Raises UnsupportedError naming the operator and the way out where the target cannot take it.
    """
    tensors, ops = int8_operators(graph, (op,))
    rewriter = Rewriter(replace(graph, tensors=tensors), config)
    _rewrite(rewriter, *ops)
    return rewriter.ops


def _rewrite(rewriter: Rewriter, op: Op) -> None:
    """Hold the operator to its limits, then let it emit what the accelerator has."""
    where, operator = describe(rewriter.graph, op), OPERATORS.get(op.kind)
    if operator is None:
        raise UnsupportedError(f"{where}: the accelerator has no such operator; `kaniwa "
                               f"operators` lists those that it has")
    wide = is_wide(rewriter.graph, op)
    for limit in operator.int16_limits if wide else operator.limits:
        if (reason := limit(rewriter.graph, op)) is not None:
            raise UnsupportedError(f"{where}: {reason}")
    if op.kind == "MUL" and not wide and not rewriter.config.elementwise_multiply:
        one = product_of_one(rewriter.graph, op)
        if one is not None:
            source, entries = one
            rewriter.emit(op, "TABLE", (source,), {**op.attributes, "taps": 0, "table": entries})
            return
    own = operator.int16_rewrite if wide else None
    (own or operator.rewrite)(rewriter, op)
