"""Products of two functions of one tensor, as a function of it: for targets that cannot multiply
two tensors."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.array.functions import argument, function_table, why_no_table
from kaniwa.compiler.array.moves import SHAPES
from kaniwa.compiler.operators.limits import TWO_OPERANDS
from kaniwa.compiler.operators.rewriting import as_table
from kaniwa.compiler.operators.table import OPERATORS
from kaniwa.compiler.plan.lookup import EVERY, common_argument
from kaniwa.golden import run_op
from kaniwa.graph import Graph, Op

__all__ = ["product_of_one"]

Int8 = npt.NDArray[np.int8]


def product_of_one(graph: Graph, op: Op) -> tuple[int, tuple[int, ...]] | None:
    """The nearest tensor that both operands of a MUL are functions of, and the result for each of
    its values (index = value + 128); None where there is none."""
    shaped = {*op.inputs, op.outputs[0]}
    if len(shaped) < 3 or len({prod(graph.tensors[i].shape) for i in shaped}) > 1:
        return None      # a square is a table anyway; what is broadcast has two operands
    producers = {op.outputs[0]: op for op in graph.ops}

    def source(tensor: int) -> tuple[int, Int8] | None:
        made = producers.get(tensor)
        if made is None or not _is_function(graph, made):
            return None
        return made.inputs[argument(graph, made)], (
            EVERY if made.kind in SHAPES else function_table(graph, made, made.kind))

    found = common_argument(op.inputs[0], op.inputs[1], source)
    if found is None:
        return None
    common, first, second = found
    tensors = tuple(replace(t, shape=EVERY.shape) if t.id in shaped else t for t in graph.tensors)
    (result,) = run_op(replace(graph, tensors=tensors), op, (first, second))
    return common, tuple(result.astype(np.int8).tolist())


def _is_function(graph: Graph, op: Op) -> bool:
    """True for a table of one operand of int8, or for another name of it."""
    own = OPERATORS.get(op.kind)
    moved = (op.inputs[argument(graph, op)], op.outputs[0])
    if own is None or any(graph.tensors[i].dtype != "int8" for i in moved):
        return False
    return op.kind in SHAPES or (own.rewrite is as_table or op.kind in TWO_OPERANDS) and (
        why_no_table(graph, op) is None)
