"""Products of two functions of one tensor, as a function of it: for targets that cannot multiply
two tensors."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.array.functions import EVERY, argument, function_table, why_no_table
from kaniwa.compiler.operators.limits import TWO_OPERANDS
from kaniwa.compiler.operators.rewriting import as_table
from kaniwa.compiler.operators.table import OPERATORS
from kaniwa.golden import run_op
from kaniwa.graph import Graph, Op

__all__ = ["product_of_one"]

Int8 = npt.NDArray[np.int8]
SHAPES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")


def product_of_one(graph: Graph, op: Op) -> tuple[int, tuple[int, ...]] | None:
    """The nearest tensor that both operands of a MUL are functions of, and the result for each of
    its values (index = value + 128); None where there is none."""
    shaped = {*op.inputs, op.outputs[0]}
    if len(shaped) < 3 or len({prod(graph.tensors[i].shape) for i in shaped}) > 1:
        return None      # a square is a table anyway; what is broadcast has two operands
    producers = {op.outputs[0]: op for op in graph.ops}
    first, second = (_functions(graph, i, producers) for i in op.inputs)
    common = next((i for i in first if i in second), None)
    if common is None:
        return None
    tensors = tuple(replace(t, shape=EVERY.shape) if t.id in shaped else t for t in graph.tensors)
    (result,) = run_op(replace(graph, tensors=tensors), op, (first[common], second[common]))
    return common, tuple(result.astype(np.int8).tolist())


def _functions(graph: Graph, tensor: int, producers: dict[int, Op]) -> dict[int, Int8]:
    """The int8 tensors that ``tensor`` is a function of, nearest first, each with the function."""
    table = EVERY
    found = {tensor: table}
    while (op := producers.get(tensor)) is not None and _is_function(graph, op):
        tensor = op.inputs[argument(graph, op)]
        if op.kind not in SHAPES:
            table = table[function_table(graph, op, op.kind).astype(np.int64) + 128]
        found[tensor] = table
    return found


def _is_function(graph: Graph, op: Op) -> bool:
    """True for a table of one operand of int8, or for another name of it."""
    own = OPERATORS.get(op.kind)
    moved = (op.inputs[argument(graph, op)], op.outputs[0])
    if own is None or any(graph.tensors[i].dtype != "int8" for i in moved):
        return False
    return op.kind in SHAPES or (own.rewrite is as_table or op.kind in TWO_OPERANDS) and (
        why_no_table(graph, op) is None)
