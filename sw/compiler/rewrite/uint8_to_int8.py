"""Legacy uint8 as int8: activations less 128, and any weights less their zero point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from kaniwa.compiler.array.moves import BLOCKS, CUTS, GROWN, JOINS, PADS, VIEWS
from kaniwa.compiler.plan.kinds import UINT8_BILINEAR, UINT8_JOIN
from kaniwa.compiler.plan.plan import Plan
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["UINT8_FUNCTIONS", "int8_operators", "uint8_to_int8"]

HALF = 128
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
OF_TWO = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")
# Element by element or by row, with LiteRT's rule of int8.
UINT8_FUNCTIONS = (*OF_TWO, "QUANTIZE", "SOFTMAX", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1",
                   "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "GELU", "LOOKUP")
# What computes the same from x - zero point, whether x is int8 or uint8. All but these rules are
# the same, too: LiteRT multiplies the scales of uint8 in float32, and rounds a mean of uint8 half
# up, for it has no sign.
SUMMED = (*WEIGHTED, "AVERAGE_POOL_2D")
KINDS = (*SUMMED, "MAX_POOL_2D", "TRANSPOSE", "GATHER", *VIEWS, *CUTS, *JOINS, *BLOCKS, *GROWN,
         "RESIZE_BILINEAR", "MIRROR_PAD", "ARG_MAX", "ARG_MIN", "REDUCE_MAX", "REDUCE_MIN",
         *UINT8_FUNCTIONS)
BYTES = {"int8", "uint8"}
RULES = {"litert_double_rounding": "litert_uint8_double_rounding",
         "litert_average_pool": "litert_uint8_average_pool"}
RULES_BY_KIND = {"CONCATENATION": UINT8_JOIN, "RESIZE_BILINEAR": UINT8_BILINEAR}


def uint8_to_int8(plan: Plan) -> Plan:
    """Every uint8 tensor of the device becomes int8 of the same real values."""
    tensors, ops = int8_operators(plan.graph, plan.graph.ops)
    return replace(plan, graph=replace(plan.graph, tensors=tensors, ops=ops))


def int8_operators(graph: Graph, ops: Iterable[Op]) -> tuple[tuple[Tensor, ...], tuple[Op, ...]]:
    """The tensors of ``graph`` and its ``ops`` with int8 in place of uint8.

    Ids stay. Weights with a zero point become new tensors, int16 where they do not fit int8.
    Operators that would compute something else in int8 are left alone.
    """
    tensors, rewritten = list(graph.tensors), []
    for op in ops:
        inputs, first = list(op.inputs), int(op.kind == "TRANSPOSE_CONV")
        if op.kind in WEIGHTED:
            weights = _weights(graph.tensors[inputs[1 - first]], len(tensors), op.rule)
            if weights is not None:
                inputs[1 - first] = weights.id
                tensors.append(weights)
        rule, attributes = op.rule, op.attributes
        operands = (inputs if op.kind in (*JOINS, *PADS) else inputs[:2] if op.kind in OF_TWO
                    else inputs[first:first + 1])
        of_op = (*operands, *op.outputs)
        dtypes = {graph.tensors[i].dtype for i in of_op}
        if op.kind in KINDS and "uint8" in dtypes and (
                op.kind not in UINT8_FUNCTIONS or dtypes <= BYTES):
            rule = RULES_BY_KIND.get(op.kind, RULES.get(rule, rule) if op.kind in SUMMED else rule)
            for i in of_op:
                tensors[i] = _activation(graph.tensors[i])
            attributes = _table(_bounds(attributes, graph.tensors[op.outputs[0]]),
                                graph.tensors[op.outputs[0]])
        rewritten.append(replace(op, inputs=tuple(inputs), rule=rule, attributes=attributes))
    return tuple(tensors), tuple(rewritten)


def _weights(weights: Tensor, number: int, rule: str) -> Tensor | None:
    """The tensor ``number``: ``weights`` less their zero points, or None where these are 0.

    Only rule qdq has zero points by channel.
    """
    q, data = weights.quantization, weights.data
    if q is None or data is None or weights.dtype not in ("int8", "uint8"):
        return None
    if not (any(q.zero_points) or weights.dtype == "uint8"):
        return None
    if len(set(q.zero_points)) > 1 and rule != "qdq":
        return None
    shape = [1] * data.ndim
    if len(q.zero_points) > 1 and q.axis is not None:
        shape[q.axis] = -1
    values = data.astype(np.int64) - np.array(q.zero_points, np.int64).reshape(shape)
    fits = not values.size or -HALF <= values.min() and values.max() < HALF
    values = values.astype(np.int8 if fits else np.int16)
    return replace(weights, id=number, dtype=str(values.dtype), data=values,
                   quantization=replace(q, zero_points=(0,) * len(q.zero_points)))


def _bounds(attributes: Mapping[str, object], output: Tensor) -> Mapping[str, object]:
    """``attributes`` with the clamp of a result of uint8, where there is one, less 128."""
    bounds = attributes.get("bounds")
    if output.dtype != "uint8" or not isinstance(bounds, tuple):
        return attributes
    return {**attributes, "bounds": tuple(edge - HALF for edge in bounds)}


def _table(attributes: Mapping[str, object], output: Tensor) -> Mapping[str, object]:
    """``attributes`` with the results of uint8 in a table, where there is one, less 128."""
    table = attributes.get("table")
    if output.dtype != "uint8" or not isinstance(table, tuple):
        return attributes
    return {**attributes, "table": tuple(value - HALF for value in table)}


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
