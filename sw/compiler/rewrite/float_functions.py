"""Functions in float32 between 8 bits and 8 bits, as tables.

    x ─▶ DEQUANTIZE ─▶ f ─▶ g ─▶ y        y = LOOKUP x

Quantisers leave what they have no integer form of in float32, and what would lose by a rounding
between its steps. What hangs on the value of one tensor of 8 bits alone has 256 results, which the
reference kernels give here. Operators of ONNX models read the tensor without a DEQUANTIZE.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.array.elementwise import has_one_value
from kaniwa.compiler.array.functions import for_all_values
from kaniwa.compiler.plan.operands import is_bytes
from kaniwa.compiler.rewrite.unread import without_unread
from kaniwa.errors import ModelError
from kaniwa.golden.onnx.functions import FUNCTIONS
from kaniwa.golden.registry import kernel_of
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.runtimes import NAMES as RUNTIMES

__all__ = ["float_functions_folded"]

# Element by element, with constants of one value.
KINDS = {*FUNCTIONS, "ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "RSQRT", "SQUARE", "RELU",
         "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "PRELU", "ROUND", "SIGN", "QUANTIZE"}
BY_RUNTIME = {"SQUARE", "FLOOR", "CEIL", "ROUND", "SIGN", "SIN", "COS"}     # LiteRT's
MOST = 32      # operators of a function


def float_functions_folded(graph: Graph) -> Graph:
    """``graph`` with a LOOKUP in place of each such function; operators that nothing reads then
    are left out."""
    made = {i: op for op in graph.ops for i in op.outputs}
    kept = {*graph.outputs, *(state.following for state in graph.state)}
    ops, same = list[Op](), dict[int, int]()
    for op in graph.ops:
        found = _looked_up(graph, op, made) or op
        if found.kind == "LOOKUP" and not kept.intersection(found.outputs) and _changes_nothing(
                graph, found):
            same[found.outputs[0]] = same.get(found.inputs[0], found.inputs[0])
        ops.append(found)
    if all(op.kind != "LOOKUP" for op in ops):
        return graph
    ops = [replace(op, inputs=tuple(same.get(i, i) for i in op.inputs))
           if same.keys() & {*op.inputs} else op for op in ops]
    return replace(graph, ops=without_unread(graph, ops))


def _changes_nothing(graph: Graph, op: Op) -> bool:
    """True of a function of 8 bits that gives each value of a tensor itself."""
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    least = np.iinfo(x.dtype).min
    return ((x.dtype, x.shape, x.quantization) == (y.dtype, y.shape, y.quantization)
            and op.attributes["table"] == tuple(range(least, least + 256)))


def _looked_up(graph: Graph, op: Op, made: dict[int, Op]) -> Op | None:
    """``op`` as a LOOKUP of the tensor of 8 bits that it hangs on, if there is only one."""
    y = graph.tensors[op.outputs[0]] if len(op.outputs) == 1 else None
    if y is None or not is_bytes(y) or op.kind not in KINDS:
        return None
    chain, sources = list[Op](), dict[int, int]()     # of each name of the source the first one
    waiting = [op]
    while waiting:
        now = waiting.pop()
        if now in chain:
            continue
        chain.append(now)
        for i in (i for i in now.inputs if i != -1):
            tensor = graph.tensors[i]
            if has_one_value(tensor):
                continue
            if is_bytes(tensor):
                sources[i] = _first_name(graph, i, made)
            elif tensor.dtype == "float32" and i in made and len(chain) < MOST and (
                    made[i].kind in KINDS or made[i].kind == "DEQUANTIZE"):
                waiting.append(made[i])
            else:
                return None
    first = {*sources.values()}
    x = graph.tensors[first.pop()] if len(first) == 1 and len(chain) > 1 else None
    if x is None or prod(x.shape) != prod(y.shape):
        return None
    order = sorted(chain, key=graph.ops.index)
    table = _table(graph, order, x, sources)
    kinds = [one.kind for one in order if one.kind not in ("DEQUANTIZE", "QUANTIZE")]
    return None if table is None else replace(
        op, kind="LOOKUP", inputs=(x.id,), rule="exact", attributes={
            "table": table, "source_kind": "+".join(kinds) or op.kind})


def _first_name(graph: Graph, tensor_id: int, made: dict[int, Op]) -> int:
    """The tensor whose bytes it has, in another shape or as other steps."""
    while tensor_id in made and made[tensor_id].kind == "RESHAPE":
        tensor_id = made[tensor_id].inputs[0]
    return tensor_id


def _table(graph: Graph, order: list[Op], x: Tensor,
           sources: Collection[int]) -> tuple[int, ...] | None:
    """The result for each value of ``x``, whose names are ``sources``, the least first; None where
    one is not defined, or is of a framework's own runtime and not known to take each value alone.
    """
    if any(kernel_of(op) is None or op.rule in RUNTIMES and op.kind not in BY_RUNTIME
           for op in order):
        return None
    order = [replace(op) for op in order]      # a runtime keeps an operator of its first shape
    limits = np.iinfo(x.dtype)
    every = np.arange(limits.min, limits.max + 1).astype(x.dtype)
    try:
        return tuple(for_all_values(graph, order, sources, every).tolist())
    except ModelError:
        return None
