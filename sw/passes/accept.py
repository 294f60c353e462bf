"""Which operators the accelerator takes, and why not the others."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from kaniwa.graph import Graph, Op, Tensor
from kaniwa.passes.functions import TABLES, why_no_table

__all__ = ["why_not"]

ELEMENTWISE = ("ADD", "SUB", "MUL")
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
KINDS = (*WEIGHTED, "AVERAGE_POOL_2D", "MAX_POOL_2D", *ELEMENTWISE, "RELU", "RELU6", "RESHAPE",
         *TABLES)


def why_not(graph: Graph, op: Op) -> str | None:
    """None if the accelerator takes ``op``, else the reason and the way out, in one line."""
    if op.kind not in KINDS:
        return f"the accelerator has no such operator; it has {', '.join(KINDS)}"
    for check in CHECKS:
        reason = check(graph, op)
        if reason:
            return reason
    return None


def _int8(graph: Graph, op: Op) -> str | None:
    operands = op.inputs if op.kind in ELEMENTWISE else op.inputs[:1]
    for i in (*operands, *op.outputs):
        tensor = graph.tensors[i]
        if tensor.dtype == "float32":
            return (f"'{tensor.name}' is float32; quantise the model, weights and activations, "
                    f"to int8")
        if tensor.dtype != "int8":
            return f"'{tensor.name}' is {tensor.dtype}; quantise the model to int8"
        if tensor.quantization is None or len(tensor.quantization.scales) != 1:
            return f"'{tensor.name}' has no scale; quantise the model to int8"
        if not prod(tensor.shape):
            return f"'{tensor.name}' has no elements; fix the model's shapes"
    return None


def _weights(graph: Graph, op: Op) -> str | None:
    if op.kind not in WEIGHTED:
        return None
    weights = graph.tensors[op.inputs[1]]
    if weights.data is None:
        return f"weights '{weights.name}' are computed; only constant ones are multiplied"
    if weights.dtype != "int8":
        return f"weights '{weights.name}' are {weights.dtype}; quantise them to int8"
    return _zero_point(weights, "weights")


def _bias(graph: Graph, op: Op) -> str | None:
    if op.kind not in WEIGHTED or len(op.inputs) < 3 or op.inputs[2] == -1:
        return None
    bias = graph.tensors[op.inputs[2]]
    if bias.data is None:
        return f"bias '{bias.name}' is computed; only a constant one is added"
    if bias.dtype != "int32":
        return f"bias '{bias.name}' is {bias.dtype}; quantise it to int32"
    return _zero_point(bias, "bias")


def _zero_point(tensor: Tensor, what: str) -> str | None:
    q = tensor.quantization
    wrong = [] if q is None else [z for z in q.zero_points if z != 0]
    return (f"{what} '{tensor.name}' has zero point {wrong[0]}; quantise the model symmetrically"
            if wrong else None)


def _groups(graph: Graph, op: Op) -> str | None:
    if op.kind != "CONV_2D":
        return None
    x, weights = (graph.tensors[i].shape for i in op.inputs[:2])
    groups = x[3] // weights[3]
    return (f"has {groups} groups; use one group, or a depthwise convolution" if groups != 1
            else None)


def _function(graph: Graph, op: Op) -> str | None:
    return why_no_table(graph, op) if op.kind in TABLES else None


CHECKS: tuple[Callable[[Graph, Op], str | None], ...] = (
    _int8, _weights, _bias, _groups, _function)
