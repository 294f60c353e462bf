"""The table of operators that the accelerator has, put together from the families.

A family has the name that the importer's, the golden kernels' and the tests' families have.
"""

from __future__ import annotations

from kaniwa.compiler.operators import (
    activation,
    arithmetic,
    conversion,
    convolution,
    functions,
    matrix,
    movement,
    normalization,
    pooling,
    recurrent,
    reduction,
    resize,
    slices,
    softmax,
    variables,
)
from kaniwa.compiler.operators.limits import TWO_OPERANDS, activations
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import as_table
from kaniwa.graph import Graph, Op

__all__ = ["FAMILIES", "FUNCTIONS", "OPERATORS", "WITH_CONSTANT", "is_wide"]

FAMILIES = (
    activation,
    arithmetic,
    conversion,
    convolution,
    functions,
    matrix,
    movement,
    normalization,
    pooling,
    recurrent,
    reduction,
    resize,
    slices,
    softmax,
    variables,
)

OPERATORS: dict[str, DeviceOperator] = {
    operator.kind: operator for family in FAMILIES for operator in family.OPERATORS
}

_TABLES = tuple(operator.kind for operator in OPERATORS.values()
                if operator.rewrite is as_table and not operator.onnx)
# TFLite's operators that become a table; those of two operands if one is a constant of one value.
FUNCTIONS = tuple(kind for kind in _TABLES if kind not in TWO_OPERANDS)
WITH_CONSTANT = tuple(kind for kind in _TABLES if kind in TWO_OPERANDS)


def is_wide(graph: Graph, op: Op) -> bool:
    """True for an operator with an activation of int16, which the vector unit has to do."""
    operator = OPERATORS.get(op.kind)
    return operator is not None and bool(operator.int16_limits) and any(
        tensor.dtype == "int16" for tensor in activations(graph, op))
