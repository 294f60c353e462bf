"""PRELU in float32 with a slope of each channel, between a DEQUANTIZE and a QUANTIZE.

    x ─▶ DEQUANTIZE ─▶ PRELU ─▶ QUANTIZE ─▶ y        y = PRELU x

Of each channel 256 values have 256 results, which the reference kernels give. Those of values that
are not negative are the same in all channels. The others lie on a line through zero, but for how
float32 rounds: its slope is anywhere between the least and the greatest with which every result
is the nearest one. Where float32 has some halves above the tie and some below there is none: then
the line passes zero at a 64th of a step or several. Where that does not help either, the operator
stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.compiler.array.elementwise import has_one_value
from kaniwa.compiler.array.functions import for_all_values
from kaniwa.compiler.array.slopes import FRACTIONS
from kaniwa.compiler.plan.lookup import EVERY
from kaniwa.compiler.plan.operands import is_bytes, quantization
from kaniwa.compiler.rewrite.unread import without_unread
from kaniwa.graph import Graph, Op, Quantization, Tensor

__all__ = ["float_slopes_folded"]


def float_slopes_folded(graph: Graph) -> Graph:
    """``graph`` with a PRELU of int8 in place of each such chain; operators that nothing reads then
    are left out."""
    made = {i: op for op in graph.ops for i in op.outputs}
    tensors, ops = list(graph.tensors), list[Op]()
    for op in graph.ops:
        chain = _chain(graph, op, made)
        ops.append(op if chain is None else _on_bytes(graph, chain, tensors) or op)
    if ops == list(graph.ops):
        return graph
    return replace(graph, tensors=tuple(tensors), ops=without_unread(graph, ops))


def _chain(graph: Graph, op: Op, made: dict[int, Op]) -> tuple[Op, Op, Op] | None:
    """DEQUANTIZE, PRELU and QUANTIZE ``op``, from int8 to int8."""
    slopes = made.get(op.inputs[0]) if op.kind == "QUANTIZE" else None
    first = made.get(slopes.inputs[0]) if slopes is not None and slopes.kind == "PRELU" else None
    if slopes is None or first is None or first.kind != "DEQUANTIZE":
        return None
    x, y = graph.tensors[first.inputs[0]], graph.tensors[op.outputs[0]]
    alpha = graph.tensors[slopes.inputs[1]]
    if any(t.dtype != "int8" or not is_bytes(t) for t in (x, y)) or alpha.data is None:
        return None
    by_channel = alpha.shape[-1:] == x.shape[-1:] == (alpha.data.size,)
    return (first, slopes, op) if by_channel and not has_one_value(alpha) else None


def _on_bytes(graph: Graph, chain: tuple[Op, Op, Op], tensors: list[Tensor]) -> Op | None:
    first, slopes, last = chain
    x, y = (quantization(graph.tensors[i]) for i in (first.inputs[0], last.outputs[0]))
    alpha = graph.tensors[slopes.inputs[1]]
    assert alpha.data is not None
    every = np.broadcast_to(EVERY[:, np.newaxis], (len(EVERY), alpha.data.size))
    results = for_all_values(graph, chain, first.inputs[:1], every).T
    if (results == results[0]).all():
        return replace(last, kind="LOOKUP", inputs=first.inputs, rule="exact", attributes={
            "table": tuple(results[0].tolist()), "source_kind": slopes.kind})
    positive = x.zero_point <= EVERY
    steps = EVERY[~positive].astype(np.float64) - x.zero_point
    found = results[:, ~positive].astype(np.float64)
    if (results[:, positive] != results[0, positive]).any():
        return None
    lines = _lines(steps, found, x, y)
    if lines is None:
        return None
    own = replace(alpha, id=len(tensors), name=f"{alpha.name}:slopes", source_index=None,
                  data=lines[0].reshape(alpha.shape))
    tensors.append(own)
    above = np.where(positive, results[0], y.zero_point)
    return replace(slopes, inputs=(first.inputs[0], own.id), outputs=last.outputs, rule="qdq",
                   attributes={**slopes.attributes, "above": tuple(above.tolist()),
                               "offsets": tuple(lines[1].tolist())})


def _lines(steps: np.ndarray, found: np.ndarray, x: Quantization,
           y: Quantization) -> tuple[np.ndarray, np.ndarray] | None:
    """Slopes of channels in float32, and the fractions of a step, each 1 / ``FRACTIONS``, by which
    a line is moved, such that ``found`` [channels, n] are the results of negative ``steps`` [n];
    None where there are none."""
    slopes = np.zeros(len(found), np.float32)
    offsets, left = np.zeros(len(found), np.int64), np.arange(len(found))
    for offset in sorted(range(-FRACTIONS // 4, FRACTIONS // 4 + 1), key=abs):
        moved = steps + offset / FRACTIONS
        factor = _between(moved, found[left] - y.zero_point, y.zero_point)
        slopes[left], offsets[left] = factor * y.scale / x.scale, offset
        factor = slopes[left].astype(np.float64) * x.scale / y.scale
        again = np.clip(np.rint(np.outer(factor, moved)) + y.zero_point, -128, 127)
        at_zero = np.rint(factor * offset / FRACTIONS)
        left = left[(again != found[left]).any(axis=1) | (at_zero != 0)]
        if not len(left):
            return slopes, offsets
    return None


def _between(steps: np.ndarray, results: np.ndarray, zero_point: int) -> np.ndarray:
    """For each row of ``results`` [channels, n] a factor of the ``steps`` [n], all negative, whose
    products are nearest to them: the middle of those that are. What is at a limit of int8 may be
    beyond it, so that there may be no least or no greatest factor."""
    low = np.where(results + zero_point > -128, results - 0.5, -np.inf)
    high = np.where(results + zero_point < 127, results + 0.5, np.inf)
    least, most = (high / steps).max(axis=1), (low / steps).min(axis=1)
    least = np.where(np.isfinite(least), least, np.minimum(most, 0.0) * 2)
    most = np.where(np.isfinite(most), most, np.maximum(least, 0.0) * 2)
    return (least + most) / 2
