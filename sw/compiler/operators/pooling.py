"""Pooling on the accelerator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from math import prod

import numpy as np

from kaniwa.compiler.array.largest import largest_of
from kaniwa.compiler.array.pieces import MOST_PIECES, Axis, Piece
from kaniwa.compiler.operators.limits import (
    BYTES,
    int16_of_one_scale,
    known_activation,
    rule_of_int16,
    same_quantization,
    some_elements,
    summed_int16,
    unpadded,
)
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.reduction import whole_map
from kaniwa.compiler.operators.rewriting import (
    check_window,
    holds_map,
    in_blocks,
    unit_depthwise,
)
from kaniwa.compiler.plan.kinds import WIDE
from kaniwa.compiler.plan.operands import paddings, pair, quantization
from kaniwa.compiler.plan.rescale import tied
from kaniwa.compiler.rewrite.rewriter import UNIT, Rewriter
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["OPERATORS"]

LARGEST_WINDOW = 12      # each element is an operand of a program, with a pointer of its own


def small_window(graph: Graph, op: Op) -> str | None:
    """The window has at most 12 elements."""
    window = pair(op, "filter")
    return None if prod(window) <= LARGEST_WINDOW else (
        f"a window of {window[0]} x {window[1]} has more than {LARGEST_WINDOW} elements; pool in "
        f"two steps")


def whole_windows(graph: Graph, op: Op) -> str | None:
    """Windows are dense, and all of the padding counts, or none of it."""
    if pair(op, "dilation", (1, 1)) != (1, 1):
        return "its windows are dilated; average all neighbors"
    return None if "counted" not in op.attributes else (
        "a part of its padding counts; pad before it, or without ceil_mode")


def few_borders(graph: Graph, op: Op) -> str | None:
    """Windows see up to 256 different numbers of rows and columns."""
    count = prod(len(axis) for axis in _averaged(graph.tensors, op))
    return None if count <= MOST_PIECES else (
        f"its windows see {count} different numbers of rows and columns, at most {MOST_PIECES} "
        f"are taken; pool in two steps")


def _averaged(tensors: Sequence[Tensor], op: Op) -> list[list[tuple[Axis, int]]]:
    """Along rows and columns the windows that see as many positions, and how many these are."""
    x, y = (tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
    return [list(_seen(*numbers)) for numbers in zip(
        x[1:3], pair(op, "filter"), pair(op, "stride"), (before for before, _ in paddings(op)),
        y[1:3], strict=True)]


def _seen(size: int, length: int, stride: int, before: int,
          results: int) -> Iterator[tuple[Axis, int]]:
    starts = [result * stride - before for result in range(results)]
    counts = [min(start + length, size) - max(start, 0) for start in starts]
    first = 0
    for count, run in groupby(counts):
        number = len(list(run))
        yield Axis(number, stride, before - first * stride, first, 1), count
        first += number


def _is_doubled(op: Op, count: int) -> bool:
    """True where sums are to be doubled, and 1 added, for the rule to be exact."""
    return op.rule == "litert_uint8_average_pool" and tied(count)


def _average_pool(rewriter: Rewriter, op: Op) -> None:
    """Sums over windows; half to even is made of means whose ties go up and down."""
    check_window(rewriter, op, pair(op, "filter"))
    if not _has_ties(rewriter, op):
        _sum_windows(rewriter, op)
        return
    y, means = rewriter.tensors[op.outputs[0]], []
    half = replace(quantization(y), scales=(quantization(y).scale / 2,))
    for ties in ("away", "inward"):
        means.append(rewriter.tensor(f"{y.name}:{ties}", y.shape, y, None, half))
        _sum_windows(rewriter, replace(op, outputs=(means[-1],), attributes={
            **op.attributes, "ties": ties}))
    rewriter.emit(op, "ADD", tuple(means), {**op.attributes, "taps": 0, "macs": 0})


def _sum_windows(rewriter: Rewriter, op: Op) -> None:
    """A depthwise convolution, or, with padding that does not count, one for each number of rows
    and columns that windows see."""
    window = pair(op, "filter")
    if op.attributes.get("position") in rewriter.in_blocks:
        shape = whole_map(rewriter.tensors[op.inputs[0]].shape)
        in_blocks(rewriter, op, shape, int(_is_doubled(op, prod(window))))
        return
    if unpadded(rewriter.graph, op) is None:
        unit_depthwise(rewriter, op, window, op.rule, int(_is_doubled(op, prod(window))))
        return
    ones = np.ones((*window, rewriter.tensors[op.inputs[0]].shape[3]), np.int8)
    rows, columns = _averaged(rewriter.tensors, op)
    pieces = []
    for down, high in rows:
        for along, wide in columns:
            doubled = int(_is_doubled(op, high * wide))
            pieces.append(Piece(down, along, ones << doubled, {"filter": (high, wide)},
                                op.rule != "qdq", doubled))
    one = rewriter.tensor(f"{op.name}:ones", ones.shape, None, ones, UNIT)
    rewriter.emit(op, "PIECES", (op.inputs[0], one), {
        **op.attributes, "taps": 0, "macs": 0, "pieces": tuple(pieces)})


def _has_ties(rewriter: Rewriter, op: Op) -> bool:
    """True for means between equal steps by rule ``qdq``, of counts that end in halves which no
    multiplier has."""
    x, y = (quantization(rewriter.tensors[i]) for i in (op.inputs[0], op.outputs[0]))
    if op.rule != "qdq" or x.scale != y.scale:
        return False
    rows, columns = _averaged(rewriter.tensors, op)
    counts = ({prod(pair(op, "filter"))} if unpadded(rewriter.graph, op) is None
              else {high * wide for _, high in rows for _, wide in columns})
    return any(map(tied, counts))


def _max_pool(rewriter: Rewriter, op: Op) -> None:
    """The largest of a whole map is found step by step where the line buffer does not hold it."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    _, rows, columns, channels = x.shape
    whole = pair(op, "filter") == (rows, columns) and y.shape[1:3] == (1, 1)
    if whole and op.attributes["activation"] == "NONE" and not holds_map(
            (rows, columns, channels), rewriter.config):
        made = largest_of(rewriter, op, x.id, whole_map(x.shape), "largest")
        rewriter.renamed(op, made, y)
        return
    check_window(rewriter, op, pair(op, "filter"))
    rewriter.emit(op, "MAX_POOL_2D", op.inputs, {"dilation": (1, 1), **op.attributes, "taps": 0})


def _max_pool_of_int16(rewriter: Rewriter, op: Op) -> None:
    """The largest of the elements of a window, each of which is a tensor."""
    check_window(rewriter, op, pair(op, "filter"))
    inputs = rewriter.elements(op, pair(op, "filter"))
    rewriter.emit(op, WIDE, tuple(inputs), {**op.attributes, "taps": 0})


OPERATORS = (
    DeviceOperator("AVERAGE_POOL_2D", (*BYTES, same_quantization, whole_windows, few_borders),
                   _average_pool,
                   (*summed_int16("litert_average_pool"), same_quantization, whole_windows,
                    unpadded)),
    DeviceOperator("MAX_POOL_2D", (*BYTES, same_quantization), _max_pool, (
        int16_of_one_scale, some_elements, rule_of_int16("exact"), known_activation,
        same_quantization, unpadded, small_window), _max_pool_of_int16),
)
