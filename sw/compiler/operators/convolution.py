"""Convolutions on the accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.array.groups import Weights, at_once, side_by_side
from kaniwa.compiler.array.pieces import MOST_PIECES, Axis, Piece
from kaniwa.compiler.operators.limits import WEIGHTED, weighted_int16
from kaniwa.compiler.operators.record import DeviceOperator, Limit
from kaniwa.compiler.operators.rewriting import check_window, input_first
from kaniwa.compiler.plan.operands import Pair, paddings, pair
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["OPERATORS"]


def _dense(rewriter: Rewriter, op: Op) -> None:
    check_window(rewriter, op, rewriter.tensors[op.inputs[1]].shape[1:3])
    _grouped(rewriter, op, rewriter.tensors[op.inputs[1]])


def _grouped(rewriter: Rewriter, op: Op, weights: Tensor) -> None:
    """A convolution of ``weights`` [OC, KH, KW, IC of a group]: dense, or several of some of the
    groups."""
    x, y = (rewriter.tensors[i] for i in (op.inputs[0], op.outputs[0]))
    _, kh, kw, inputs = weights.shape
    groups, data = x.shape[3] // inputs, weights.data
    assert data is not None
    stride, attributes = pair(op, "stride"), {**op.attributes, "taps": kh * kw * inputs}
    count = groups if x.dtype == "int16" else at_once(
        weights.shape, groups, (y.shape[1], y.shape[2]), stride, MOST_PIECES, rewriter.config)
    dense = weights.id
    if count == groups > 1:
        dense, = (rewriter.tensor(weights.name, whole.shape, weights, whole)
                  for whole in side_by_side(data, groups, groups))
    if count == groups:
        rewriter.emit(op, "CONV_2D", (op.inputs[0], dense, *op.inputs[2:]), attributes)
        return
    rows, columns = (
        Axis(size, step, before, 0, 1, apart) for size, step, (before, _), apart in zip(
            y.shape[1:3], stride, paddings(op), pair(op, "dilation", (1, 1)), strict=True))
    pieces = tuple(Piece(rows, columns, part, part=(number, groups // count))
                   for number, part in enumerate(side_by_side(data, groups, count)))
    rewriter.emit(op, "PIECES", (op.inputs[0], dense, *op.inputs[2:]), {
        **attributes, "pieces": pieces, "taps": 0, "macs": prod(y.shape) * kh * kw * inputs})


def _depthwise(rewriter: Rewriter, op: Op) -> None:
    weights = rewriter.tensors[op.inputs[1]]
    _, kh, kw, outputs = weights.shape
    check_window(rewriter, op, (kh, kw))
    channels = rewriter.tensors[op.inputs[0]].shape[3]
    if outputs == channels and channels > 1:
        rewriter.emit(op, "DEPTHWISE_CONV_2D", op.inputs, {**op.attributes, "taps": kh * kw})
        return
    # A convolution of as many groups as there are input channels.
    assert weights.data is not None
    by_output = np.ascontiguousarray(weights.data[0].transpose(2, 0, 1)[..., None])
    q = weights.quantization
    new = rewriter.tensor(weights.name, by_output.shape, weights, by_output,
                          None if q is None or q.axis is None else replace(q, axis=0))
    _grouped(rewriter, replace(op, inputs=(op.inputs[0], new, *op.inputs[2:])),
             rewriter.tensors[new])


def _on_input(limit: Limit) -> Limit:
    """``limit`` of an operator whose weights come before its input."""
    def same(graph: Graph, op: Op) -> str | None:
        return limit(graph, input_first(op))

    same.__doc__ = limit.__doc__
    return same


def few_phases(graph: Graph, op: Op) -> str | None:
    """The product of its strides is at most 256."""
    stride = pair(op, "stride")
    return None if prod(stride) <= MOST_PIECES else (
        f"strides of {stride[0]} x {stride[1]} make {prod(stride)} convolutions, at most "
        f"{MOST_PIECES} are taken; use smaller strides")


def plain_taps(graph: Graph, op: Op) -> str | None:
    """The kernel is dense, and takes nothing off the input's borders."""
    if pair(op, "dilation", (1, 1)) != (1, 1):
        return "its kernel is dilated; use one that is dense"
    return None if min(min(pads) for pads in paddings(op)) >= 0 else (
        "its results reach beyond what inputs give; use less output padding")


def _transpose(rewriter: Rewriter, op: Op) -> None:
    """A convolution for each place of a result between two inputs: the kernel's taps that meet
    inputs there, last tap first."""
    op = input_first(op)
    x, weights, y = (rewriter.tensors[i] for i in (*op.inputs[:2], op.outputs[0]))
    assert weights.data is not None
    axes = [list(_phases(*numbers)) for numbers in zip(
        x.shape[1:3], weights.data.shape[1:3], pair(op, "stride"),
        (before for before, _ in paddings(op)), y.shape[1:3], strict=True)]
    phases = [(rows, columns, down, along) for rows, down in axes[0] for columns, along in axes[1]]
    if weights.shape[3] == 1 and len(weights.data) == x.shape[3] > 1:      # depthwise
        by_channel = weights.data[..., 0].transpose(1, 2, 0)
        pieces = [Piece(rows, columns, _taps(by_channel, 0, down, along))
                  for rows, columns, down, along in phases]
    else:
        pieces = [Piece(rows, columns, _taps(part, 1, down, along), part=number)
                  for part, number in _parts(weights.data, x.shape, len(phases), rewriter.config)
                  for rows, columns, down, along in phases]
    rewriter.emit(op, "PIECES", op.inputs, {
        **op.attributes, "pieces": tuple(pieces), "taps": 0,
        "macs": prod(x.shape[:3]) * weights.data.size}, y.id)


def _parts(weights: Weights, shape: tuple[int, ...], phases: int, config: AcceleratorConfig
           ) -> Iterator[tuple[Weights, Pair]]:
    """The weights of some groups each, for an input of this ``shape``, and which part of how many
    they are; each is so many ``phases``."""
    groups, most = shape[3] // weights.shape[3], max(1, MOST_PIECES // phases)
    count = at_once(weights.shape, groups, (shape[1], shape[2]), (1, 1), most, config)
    for number, part in enumerate(side_by_side(weights, groups, count)):
        yield part, (number, groups // count)


def _phases(size: int, kernel: int, stride: int, before: int,
            results: int) -> Iterator[tuple[Axis, range]]:
    """Along an axis the windows of each phase, and the taps that they have; none, in windows that
    all begin with the first input, where results see no input and are the bias."""
    for phase in range(min(stride, results)):
        first, skipped = (phase + before) % stride, (phase + before) // stride
        taps, count = range(first, kernel, stride), len(range(phase, results, stride))
        above = len(taps) - 1 - skipped      # of the first window
        begin = min(max(above - len(taps) + 1, 0), count) if taps else count
        end = max(min(size + above, count), begin)
        for start, past, own in ((0, begin, range(0)), (begin, end, taps), (end, count, range(0))):
            if past > start:
                yield Axis(past - start, int(bool(own)), above - start if own else 0,
                           phase + start * stride, stride), own[::-1]


def _taps(weights: np.ndarray, axis: int, down: range, along: range) -> np.ndarray:
    """These taps along ``axis`` and the next one, or one of weight 0."""
    taken = np.take(np.take(weights, down or [0], axis), along or [0], axis + 1)
    return taken if down and along else np.zeros_like(taken)


_TRANSPOSED = tuple(map(_on_input, WEIGHTED))

OPERATORS = (
    DeviceOperator("CONV_2D", WEIGHTED, _dense, weighted_int16("litert_int16")),
    DeviceOperator("DEPTHWISE_CONV_2D", WEIGHTED, _depthwise, weighted_int16("litert_int16")),
    DeviceOperator("TRANSPOSE_CONV", (*_TRANSPOSED, plain_taps, few_phases), _transpose),
)
