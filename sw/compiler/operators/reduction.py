"""Reductions on the accelerator."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.array.largest import MOST_VALUES, first_largest, largest_of, turned
from kaniwa.compiler.operators.limits import (
    int8_activations,
    known_rule,
    not_int8,
    some_elements,
    summed_int16,
)
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import block_of, in_blocks, part_of, with_axis_last
from kaniwa.compiler.plan.operands import paddings
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, UNIT, Rewriter
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS", "fits_in_blocks", "whole_map"]


def neighboring_axes(graph: Graph, op: Op) -> str | None:
    """The axes are neighbors, but for axes of one element."""
    return None if averaged(graph, op) is not None else (
        f"axes {op.attributes['axes']}, between which others are kept, are not reduced; reduce "
        f"neighbors")


def averaged(graph: Graph, op: Op) -> tuple[int, int, int] | None:
    """The view of an operand: [outer, reduced, inner] elements; None for other axes."""
    shape, axes = graph.tensors[op.inputs[0]].shape, op.attributes["axes"]
    assert isinstance(axes, tuple)
    wide = [i for i in axes if shape[i] > 1]
    first, last = min(wide, default=0), max(wide, default=-1)
    if any(shape[i] > 1 for i in range(first, last) if i not in wide):
        return None
    return prod(shape[:first]), prod(shape[first:last + 1]), prod(shape[last + 1:])


def fits_in_blocks(graph: Graph, op: Op, config: AcceleratorConfig) -> bool:
    """True for an average of bytes over all positions that the line buffer holds only where
    channels are moved apart, or parts are summed first."""
    shape = graph.tensors[op.inputs[0]].shape
    if graph.tensors[op.inputs[0]].dtype not in ("int8", "uint8"):
        return False
    if op.kind == "AVERAGE_POOL_2D":
        whole = op.attributes["filter"] == shape[1:3] and not any(map(any, paddings(op)))
        return whole and _fits(whole_map(shape), config)
    view = averaged(graph, op) if op.kind in ("MEAN", "SUM") else None
    return view is not None and view[2] > 1 and _fits(view, config)


def _fits(view: tuple[int, int, int], config: AcceleratorConfig) -> bool:
    return block_of(view, config) is not None or part_of(view, config) is not None


def whole_map(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """[outer, averaged, inner] of an average over all pixels."""
    return shape[0], shape[1] * shape[2], shape[3]


def int8_compared(graph: Graph, op: Op) -> str | None:
    """Its input is int8 or uint8."""
    x = graph.tensors[op.inputs[0]]
    return None if x.dtype == "int8" else not_int8(graph, op, x)


def short_axis(graph: Graph, op: Op) -> str | None:
    """It compares 2 to 256 values."""
    count = graph.tensors[op.inputs[0]].shape[int(str(op.attributes["axis"]))]
    return None if 2 <= count <= MOST_VALUES else (
        f"it compares {count} values, the accelerator 2 to {MOST_VALUES}; leave it to the host")


def first_of_equals(graph: Graph, op: Op) -> str | None:
    """Of equal values the first counts."""
    return None if not op.attributes.get("last") else (
        "of equal values the last counts; leave out select_last_index")


def onnx_sum(graph: Graph, op: Op) -> str | None:
    """It is of a quantised ONNX model."""
    return None if op.rule == "qdq" else (
        "LiteRT sums bytes as if they had no sign; average them, and rescale the mean")


def _mean(rewriter: Rewriter, op: Op) -> None:
    """A window of all that is averaged; a SUM is a mean of one value, however many there are."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    view = averaged(rewriter.graph, op)
    assert view is not None
    outer, count, inner = view
    if op.attributes.get("position") in rewriter.in_blocks:
        in_blocks(rewriter, replace(op, attributes={
            **op.attributes, "count": 1 if op.kind == "SUM" else count}), view)
        return
    rows, columns = x.shape[1:3] if len(x.shape) == 4 and x.shape[0] == outer else (1, count)
    if rows * columns != count:
        rows, columns = 1, count
    attributes = {**op.attributes, "stride": (1, 1), "dilation": (1, 1), "padding": NO_PADDING,
                  "count": 1 if op.kind == "SUM" else count, "taps": 0}
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


def _extreme(rewriter: Rewriter, op: Op) -> None:
    """The largest value, or the smallest, of all that are reduced."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    view, smallest = averaged(rewriter.graph, op), op.kind == "REDUCE_MIN"
    assert view is not None
    if view[1] == 1:
        rewriter.renamed(op, x.id, y)
        return
    source = turned(rewriter, op, x.id, f"{x.name}:turned") if smallest else x.id
    made = largest_of(rewriter, op, source, view, "largest")
    rewriter.renamed(op, turned(rewriter, op, made, f"{y.name}:turned") if smallest else made, y)


def _first_place(rewriter: Rewriter, op: Op) -> None:
    """Along another axis than the last one what is compared is exchanged with what is behind it."""
    x, axis = rewriter.tensors[op.inputs[0]], int(str(op.attributes["axis"]))
    if axis != len(x.shape) - 1:
        rows = with_axis_last(rewriter, op, x.id, axis)
        op = replace(op, inputs=(rows,), attributes={**op.attributes, "axis": 2})
    first_largest(rewriter, op)


_RULES = ("litert_mean", "qdq")

OPERATORS = (
    DeviceOperator("MEAN", (int8_activations, some_elements, known_rule(*_RULES),
                            neighboring_axes),
                   _mean, (*summed_int16("litert_mean"), neighboring_axes), rules=_RULES),
    DeviceOperator("SUM", (int8_activations, some_elements, onnx_sum, neighboring_axes), _mean,
                   rules=("qdq",)),
    *(DeviceOperator(kind, (int8_compared, some_elements, neighboring_axes), _extreme)
      for kind in ("REDUCE_MAX", "REDUCE_MIN")),
    *(DeviceOperator(kind, (int8_compared, some_elements, short_axis, first_of_equals),
                     _first_place) for kind in ("ARG_MAX", "ARG_MIN")),
)
