"""Reductions on the accelerator."""

from __future__ import annotations

from math import prod

import numpy as np

from kaniwa.compiler.operators.limits import (
    int8_activations,
    known_rule,
    some_elements,
    summed_int16,
)
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, UNIT, Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def neighboring_axes(graph: Graph, op: Op) -> str | None:
    """The axes are neighbors, but for axes of one element."""
    return None if averaged(graph, op) is not None else (
        f"a mean over axes {op.attributes['axes']}, between which others are kept, is not "
        f"supported; reduce neighbors")


def averaged(graph: Graph, op: Op) -> tuple[int, int, int] | None:
    """MEAN's view of its operand: [outer, averaged, inner] elements; None for other axes."""
    shape, axes = graph.tensors[op.inputs[0]].shape, op.attributes["axes"]
    assert isinstance(axes, tuple)
    wide = [i for i in axes if shape[i] > 1]
    first, last = min(wide, default=0), max(wide, default=-1)
    if any(shape[i] > 1 for i in range(first, last) if i not in wide):
        return None
    return prod(shape[:first]), prod(shape[first:last + 1]), prod(shape[last + 1:])


def _mean(rewriter: Rewriter, op: Op) -> None:
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    view = averaged(rewriter.graph, op)
    assert view is not None
    outer, count, inner = view
    rows, columns = x.shape[1:3] if len(x.shape) == 4 and x.shape[0] == outer else (1, count)
    if rows * columns != count:
        rows, columns = 1, count
    attributes = {**op.attributes, "stride": (1, 1), "dilation": (1, 1), "padding": NO_PADDING,
                  "count": count, "taps": 0}
    if inner == 1:      # along the channels
        source, shape, wide = (1, 1, outer, count), (1, 1, 1, count), (1, 1, outer, 1)
    else:
        source, shape, wide = ((outer, rows, columns, inner), (1, rows, columns, inner),
                               (outer, 1, 1, inner))
    ones = rewriter.tensor(f"{op.name}:ones", shape, None, np.ones(shape, np.int8), UNIT)
    result = y.id if y.shape == wide else rewriter.tensor(f"{y.name}:map", wide, y)
    rewriter.emit(op, "CONV_2D" if inner == 1 else "DEPTHWISE_CONV_2D",
                  (rewriter.reshaped(op, x.id, source), ones), attributes, result)
    rewriter.renamed(op, result, y)


_RULES = ("litert_mean", "qdq")

OPERATORS = (
    DeviceOperator("MEAN", (int8_activations, some_elements, known_rule(*_RULES),
                            neighboring_axes),
                   _mean, (*summed_int16("litert_mean"), neighboring_axes), rules=_RULES),
)
