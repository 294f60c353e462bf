"""PRELU with a slope of each channel: products with the slopes, clamped to what is not positive,
and a table of what is not negative, added up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.compiler.array.attributes import bounds_of
from kaniwa.compiler.array.functions import function_table
from kaniwa.compiler.plan.lookup import EVERY
from kaniwa.compiler.plan.operands import as_map, describe, quantization
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, Rewriter
from kaniwa.errors import UnsupportedError
from kaniwa.graph import Graph, Op, Quantization, Tensor

__all__ = ["prelu_by_channel"]

FRACTIONS = 64     # of a step, by which a line may miss zero
ALONE = {"stride": (1, 1), "dilation": (1, 1), "padding": NO_PADDING, "activation": "NONE",
         "taps": 0}


def prelu_by_channel(rewriter: Rewriter, op: Op) -> None:
    """A PRELU whose slopes are constants, one a channel, as a depthwise convolution and a sum.

    Raises UnsupportedError where 0 is beyond the result's limits.
    """
    graph, slopes = rewriter.graph, rewriter.tensors[op.inputs[1]]
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    zero, (low, high) = quantization(y).zero_point, bounds_of(op, y)
    if not low <= zero <= high:
        raise UnsupportedError(f"{describe(graph, op)}: 0 is beyond its limits; clamp it behind")
    weights, *bias = _weights(rewriter, op, slopes)
    falling = bool((np.asarray(rewriter.tensors[weights].data) < 0).any())
    source, shape = x.id, as_map(x.shape)
    if falling:      # their products with what is positive are no less than 0
        least = np.minimum(EVERY, quantization(x).zero_point)
        source = rewriter.tensor(f"{x.name}:negative", x.shape, x)
        rewriter.emit(op, "TABLE", (x.id,), {**op.attributes, "taps": 0,
                                             "table": tuple(least.tolist())}, source)
    below = rewriter.tensor(f"{y.name}:below", shape, y)
    rewriter.emit(
        op, "DEPTHWISE_CONV_2D", (rewriter.reshaped(op, source, shape), weights, *bias),
        {**op.attributes, **ALONE, "bounds": (low, high if falling else zero)}, below,
        "qdq" if op.rule == "qdq" else "litert_mul")
    above = rewriter.tensor(f"{y.name}:above", y.shape, y)
    rewriter.emit(op, "TABLE", (x.id,), {**op.attributes, "taps": 0, "table": _not_negative(
        graph, op, slopes)}, above)
    rewriter.emit(op, "ADD", (above, rewriter.reshaped(op, below, y.shape)), {
        **op.attributes, "taps": 0, "of_bytes": (1, 1, -zero), "bounds": (low, high)})


def _weights(rewriter: Rewriter, op: Op, slopes: Tensor) -> tuple[int, ...]:
    """The slopes as weights of a depthwise convolution; real numbers as scales of 1 and -1.

    Lines of real slopes that do not pass zero have ``offsets``, in steps / ``FRACTIONS``: these are
    biases then, behind the weights.
    """
    data, q, bias = np.asarray(slopes.data).reshape(-1), slopes.quantization, list[int]()
    if q is None:
        scales = np.where(data == 0, 1.0, np.abs(data).astype(np.float64))
        numbers = np.sign(data).astype(np.int64)
        offsets = np.array(op.attributes.get("offsets", (0,)))
        if offsets.any():
            bias.append(rewriter.tensor(f"{op.name}:offsets", (len(data),), None,
                                        (offsets * numbers).astype(np.int32)))
            scales, numbers = scales / FRACTIONS, numbers * FRACTIONS
        q = Quantization(tuple(scales.tolist()), (0,) * len(scales), 3)
    else:
        numbers = data.astype(np.int64) - q.zero_point
        q = Quantization((q.scale,), (0,))
    small = -128 <= numbers.min() and numbers.max() <= 127
    weights = rewriter.tensor(
        f"{op.name}:slopes", (1, 1, 1, len(numbers)), None,
        numbers.astype(np.int8 if small else np.int16).reshape(1, 1, 1, -1), q)
    return weights, *bias


def _not_negative(graph: Graph, op: Op, slopes: Tensor) -> tuple[int, ...]:
    """The result where the input is not negative, which no slope changes, and 0 elsewhere."""
    above = op.attributes.get("above")
    if isinstance(above, tuple):
        return above
    x, y = (quantization(graph.tensors[i]) for i in (op.inputs[0], op.outputs[0]))
    data = np.asarray(slopes.data).reshape(-1)[:1]
    one = tuple(replace(t, shape=(1,), data=data) if t.id == slopes.id else t
                for t in graph.tensors)
    table = function_table(replace(graph, tensors=one), op, op.kind)
    return tuple(np.where(EVERY >= x.zero_point, table, y.zero_point).tolist())
