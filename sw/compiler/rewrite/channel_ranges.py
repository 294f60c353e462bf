"""The values that each channel can have, whatever the model's inputs are.

A channel is an index along the last axis. All of golden's rules are monotone in each operand, so
the ends of a result's range come from the ends of the operands' ranges. With padding a window may
see fewer taps at a border: every set of taps that some output position sees is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from kaniwa.compiler.plan.operands import paddings, pair, quantization
from kaniwa.compiler.plan.rescale import Int64
from kaniwa.golden import real_multipliers, run_op
from kaniwa.golden.numbers.rounding import INT32_MAX, INT32_MIN, activation_range
from kaniwa.golden.tflite.convolution import requantize
from kaniwa.golden.tflite.matrix import requantize_float
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["Range", "channel_ranges", "channels", "repeats"]


@dataclass(frozen=True, eq=False)
class Range:
    """The smallest and the largest value of each channel of a tensor."""

    low: Int64
    high: Int64

    @property
    def is_constant(self) -> np.ndarray:
        """For each channel whether it has one value at all positions and for all inputs."""
        return np.asarray(self.low == self.high)


def channels(tensor: Tensor) -> int:
    """The length of the last axis."""
    return tensor.shape[-1] if tensor.shape else 1


def repeats(size: int, count: int) -> int | None:
    """Number of groups of ``count`` channels that make up a row of ``size``; None if none do."""
    return size // count if count and size % count == 0 else None


def channel_ranges(graph: Graph) -> dict[int, Range]:
    """The range of every int8 tensor: exact for constants, all of int8 where nothing is known."""
    ranges = {t.id: _of_constant(t) for t in graph.tensors
              if t.data is not None and t.dtype == "int8"}
    ranges |= {i: _anything(graph.tensors[i]) for i in graph.inputs}
    for op in graph.ops:
        output = graph.tensors[op.outputs[0]]
        rule = RULES.get(op.kind)
        known = rule is not None and output.dtype == "int8" and op.inputs[0] in ranges
        ranges |= {i: _anything(graph.tensors[i]) for i in op.outputs}
        if known and rule:
            ranges[output.id] = rule(graph, op, ranges)
    return ranges


def _anything(tensor: Tensor) -> Range:
    every = np.zeros(channels(tensor), np.int64)
    return Range(every - 128, every + 127)


def _of_constant(tensor: Tensor) -> Range:
    assert tensor.data is not None
    if not tensor.data.size:
        return _anything(tensor)
    rows = tensor.data.reshape(-1, channels(tensor)).astype(np.int64)
    return Range(rows.min(axis=0), rows.max(axis=0))


def _taps(weights: Int64, low: Int64, high: Int64) -> tuple[Int64, Int64]:
    """The smallest and largest product of each weight with a centered input."""
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    return (np.asarray(positive * low + negative * high, np.int64),
            np.asarray(positive * high + negative * low, np.int64))


def _centered(graph: Graph, op: Op, ranges: dict[int, Range]) -> tuple[Int64, Int64]:
    x = graph.tensors[op.inputs[0]]
    zero_point = quantization(x).zero_point
    return ranges[x.id].low - zero_point, ranges[x.id].high - zero_point


def _convolution(graph: Graph, op: Op, ranges: dict[int, Range]) -> Range:
    x, weights, y = (graph.tensors[i] for i in (*op.inputs[:2], op.outputs[0]))
    if op.rule != "litert_double_rounding":
        return _anything(y)
    assert weights.data is not None
    low, high = _centered(graph, op, ranges)
    values = weights.data.astype(np.int64)
    if op.kind == "CONV_2D":
        if values.shape[3] != len(low):
            return _anything(y)      # groups
        bounds = [part.sum(axis=3) for part in _taps(values, low, high)]
    else:
        multiplier = values.shape[3] // len(low)
        bounds = [part[0].transpose(2, 0, 1) for part in _taps(
            values, np.repeat(low, multiplier), np.repeat(high, multiplier))]
    seen = [_seen(size, length, *rest) for size, length, *rest in zip(
        x.shape[1:3], bounds[0].shape[1:], y.shape[1:3], pair(op, "stride"), pair(op, "dilation"),
        (before for before, _ in paddings(op)), strict=True)]
    sums = [np.einsum("ry,oyx,cx->rco", seen[0], part, seen[1]).reshape(-1, len(part))
            for part in bounds]
    return _requantized(graph, op, sums, requantize)


def _seen(size: int, kernel: int, outputs: int, stride: int, dilation: int,
          before: int) -> Int64:
    """The sets of taps inside the input, 0 or 1 each, over all output positions."""
    at = (np.arange(outputs)[:, None] * stride + np.arange(kernel)[None] * dilation) - before
    return np.unique(((at >= 0) & (at < size)).astype(np.int64), axis=0)


def _fully_connected(graph: Graph, op: Op, ranges: dict[int, Range]) -> Range:
    weights = graph.tensors[op.inputs[1]]
    assert weights.data is not None
    low, high = _centered(graph, op, ranges)
    times = repeats(weights.shape[1], len(low))
    if times is None or op.rule != "litert_float_half_away":
        return _anything(graph.tensors[op.outputs[0]])
    sums = [part.sum(axis=1)[None] for part in _taps(
        weights.data.astype(np.int64), np.tile(low, times), np.tile(high, times))]
    return _requantized(graph, op, sums, requantize_float)


def _requantized(graph: Graph, op: Op, sums: list[Int64],
                 rule: Callable[..., np.ndarray]) -> Range:
    """The range behind accumulators ``sums`` (smallest, largest) without bias, [any, channels]."""
    x, weights, y = (graph.tensors[i] for i in (*op.inputs[:2], op.outputs[0]))
    if len(op.inputs) > 2 and op.inputs[2] != -1:
        bias = graph.tensors[op.inputs[2]].data
        assert bias is not None
        sums = [part + bias for part in sums]
    q = quantization(y)
    bounds = activation_range(str(op.attributes["activation"]), q.scale, q.zero_point)
    ends = [rule(np.clip(part, INT32_MIN, INT32_MAX), real_multipliers(x, weights, y),
                 q.zero_point, bounds).astype(np.int64) for part in sums]
    # Beyond int32 the rule is undefined: nothing is known of such a channel.
    undefined = (sums[0] < INT32_MIN).any(axis=0) | (sums[1] > INT32_MAX).any(axis=0)
    return Range(np.where(undefined, -128, ends[0].min(axis=0)),
                 np.where(undefined, 127, ends[1].max(axis=0)))


def _elementwise(graph: Graph, op: Op, ranges: dict[int, Range]) -> Range:
    """The extremes over all combinations of the operands' ends, by golden."""
    y = graph.tensors[op.outputs[0]]
    count = channels(y)
    ends = [(ranges[i].low, ranges[i].high) for i in op.inputs]
    if any(len(low) not in (1, count) for low, _ in ends):
        return _anything(y)
    tensors = list(graph.tensors)
    tensors[y.id] = replace(y, shape=(count,))
    row = replace(graph, tensors=tuple(tensors))
    results = [run_op(row, op, [np.broadcast_to(v, count).astype(np.int8) for v in values])[0]
               for values in _combinations(ends)]
    return Range(np.min(results, axis=0).astype(np.int64), np.max(results, axis=0).astype(np.int64))


def _combinations(ends: list[tuple[Int64, Int64]]) -> list[list[Int64]]:
    if not ends:
        return [[]]
    return [[value, *others] for value in ends[0] for others in _combinations(ends[1:])]


def _pool(graph: Graph, op: Op, ranges: dict[int, Range]) -> Range:
    """Maximum and mean stay between the ends, and the zero point where padding counts."""
    q = quantization(graph.tensors[op.outputs[0]])
    bounds = activation_range(str(op.attributes["activation"]), q.scale, q.zero_point)
    x = ranges[op.inputs[0]]
    if op.attributes.get("count_padding"):
        zero_point = quantization(graph.tensors[op.inputs[0]]).zero_point
        x = Range(np.minimum(x.low, zero_point), np.maximum(x.high, zero_point))
    return Range(np.clip(x.low, *bounds), np.clip(x.high, *bounds))


def _reshape(graph: Graph, op: Op, ranges: dict[int, Range]) -> Range:
    x, y = ranges[op.inputs[0]], graph.tensors[op.outputs[0]]
    before, after = len(x.low), channels(y)
    if prod(y.shape) and (times := repeats(after, before)) is not None:
        return Range(np.tile(x.low, times), np.tile(x.high, times))
    return _anything(y)


RULES: dict[str, Callable[[Graph, Op, dict[int, Range]], Range]] = {
    "CONV_2D": _convolution, "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected, "ADD": _elementwise, "SUB": _elementwise,
    "MUL": _elementwise, "RELU": _elementwise, "RELU6": _elementwise,
    "AVERAGE_POOL_2D": _pool, "MAX_POOL_2D": _pool, "RESHAPE": _reshape,
}
