"""Legacy uint8 as int8: activations less 128, weights less their zero point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from kaniwa.graph import Graph, Op, Quantization, Tensor
from kaniwa.layer import Plan

__all__ = ["signed", "signed_operators"]

HALF = 128
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# What computes the same from x - zero point, whether x is int8 or uint8. All but these rules are
# the same, too: LiteRT multiplies the scales of uint8 in float32, and rounds a mean of uint8 half
# up, for it has no sign.
KINDS = (*WEIGHTED, "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE")
RULES = {"litert_double_rounding": "litert_uint8_double_rounding",
         "litert_average_pool": "litert_uint8_average_pool"}


def signed(plan: Plan) -> Plan:
    """Every uint8 tensor of the device becomes int8 of the same real values."""
    tensors, ops = signed_operators(plan.graph, plan.graph.ops)
    return replace(plan, graph=replace(plan.graph, tensors=tensors, ops=ops))


def signed_operators(graph: Graph, ops: Iterable[Op]) -> tuple[tuple[Tensor, ...], tuple[Op, ...]]:
    """The tensors of ``graph`` and its ``ops`` with int8 in place of uint8.

    Ids stay. Weights become new tensors, int16 where they do not fit int8. Operators that would
    compute something else in int8 are left alone, and so are weights that are computed or have
    several zero points.
    """
    tensors, rewritten = list(graph.tensors), []
    for op in ops:
        if op.kind in KINDS and graph.tensors[op.inputs[0]].dtype == "uint8":
            inputs = list(op.inputs)
            if op.kind in WEIGHTED:
                weights = graph.tensors[inputs[1]]
                q = weights.quantization
                if weights.dtype == "uint8" and weights.data is not None and q is not None and (
                        len(q.zero_points) == 1):
                    inputs[1] = len(tensors)
                    tensors.append(_weights(inputs[1], weights, weights.data, q))
            for i in (inputs[0], *op.outputs):
                tensors[i] = _activation(graph.tensors[i])
            op = replace(op, inputs=tuple(inputs), rule=RULES.get(op.rule, op.rule))
        rewritten.append(op)
    return tuple(tensors), tuple(rewritten)


def _weights(number: int, weights: Tensor, data: np.ndarray, q: Quantization) -> Tensor:
    values = data.astype(np.int16) - np.int16(q.zero_points[0])
    if values.size and -HALF <= values.min() and values.max() < HALF:
        values = values.astype(np.int8)
    return replace(weights, id=number, dtype=str(values.dtype), data=values,
                   quantization=replace(q, zero_points=(0,)))


def _activation(tensor: Tensor) -> Tensor:
    """The same bytes with the highest bit turned over."""
    if tensor.dtype != "uint8":
        return tensor
    q, data = tensor.quantization, tensor.data
    return replace(
        tensor, dtype="int8",
        data=None if data is None else (data ^ np.uint8(HALF)).view(np.int8),
        quantization=None if q is None else replace(
            q, zero_points=tuple(z - HALF for z in q.zero_points)))
