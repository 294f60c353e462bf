"""Gives a PAD to the layers behind it, as padding of their windows, where that is exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kaniwa.compiler.array.moves import PADS
from kaniwa.compiler.array.padding import Paddings, fill_of
from kaniwa.compiler.plan.bounds import INT8
from kaniwa.compiler.plan.operands import paddings, pair, quantization
from kaniwa.compiler.plan.plan import Plan
from kaniwa.graph import Graph, Op

__all__ = ["fold_padding"]

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D")


def fold_padding(plan: Plan) -> Plan:
    """Let windows read what a PAD pads; a PAD that nobody reads then is removed.

    | layer behind | exact where |
    |---|---|
    | CONV_2D, DEPTHWISE_CONV_2D | the value is the zero point |
    | AVERAGE_POOL_2D | the same, and its own padding counts, or it has none |
    | MAX_POOL_2D | the value is the smallest of int8 |

    The window must be larger than all its padding, which is of rows and columns only.
    """
    if plan.options.materialize:
        return plan
    graph = plan.graph
    pads = {op.outputs[0]: op for op in graph.ops if op.kind in PADS}
    ops = [_folded(graph, op, pads[op.inputs[0]]) if op.inputs[0] in pads else op
           for op in graph.ops]
    read = {i for op in ops for i in op.inputs}.union(graph.outputs)
    return replace(plan, graph=replace(graph, ops=tuple(
        op for op in ops if op.kind not in PADS or op.outputs[0] in read)))


def _folded(graph: Graph, op: Op, pad: Op) -> Op:
    """``op`` with what ``pad`` pads as its input, or as it is."""
    around = pad.attributes["paddings"]
    assert isinstance(around, tuple)
    if len(around) != 4 or any((*around[0], *around[3])) or not _is_exact(graph, op, pad):
        return op
    both: Paddings = tuple((a[0] + b[0], a[1] + b[1])
                           for a, b in zip(around[1:3], paddings(op), strict=True))
    if any(max(pads) >= extent for pads, extent in zip(both, _extents(graph, op), strict=True)):
        return op
    counted = {"count_padding": True} if op.kind == "AVERAGE_POOL_2D" else {}
    return replace(op, inputs=(pad.inputs[0], *op.inputs[1:]), attributes={
        **op.attributes, **counted, "padding": both,
        "folded": () if pad.source_index is None else (pad.source_index,)})


def _is_exact(graph: Graph, op: Op, pad: Op) -> bool:
    """True where the window meets the value that it pads with itself."""
    x, value = graph.tensors[pad.inputs[0]], fill_of(graph, pad)
    if op.kind == "MAX_POOL_2D":
        return x.dtype == "int8" and value == INT8[0]
    if op.kind == "AVERAGE_POOL_2D":
        unpadded = not any(map(any, paddings(op)))
        return (unpadded or bool(op.attributes.get("count_padding"))) and (
            value == quantization(x).zero_point)
    return op.kind in WEIGHTED and value == quantization(x).zero_point


def _extents(graph: Graph, op: Op) -> Iterator[int]:
    """Rows and columns that a window spans."""
    window = (graph.tensors[op.inputs[1]].shape[1:3] if op.kind in WEIGHTED
              else pair(op, "filter"))
    for length, dilation in zip(window, pair(op, "dilation", (1, 1)), strict=True):
        yield (length - 1) * dilation + 1
