"""Limits that operators of several families have, of int8 and of int16."""

from __future__ import annotations

from math import prod

import numpy as np

from kaniwa.compiler.operators.record import Limit
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["BYTES", "TWO_OPERANDS", "WEIGHTED", "activations", "bytes_of_one_scale",
           "elementwise_int16", "int16_of_one_scale", "int8_activations", "known_activation",
           "known_rule", "not_int8", "rule_of_int16", "same_quantization", "some_elements",
           "summed_int16", "unpadded", "weighted_int16"]

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
# Operators of two activations; others have settings behind the first one, or nothing.
TWO_OPERANDS = ("ADD", "SUB", "MUL", "BATCH_MATMUL", "MAXIMUM", "MINIMUM", "DIV", "FLOOR_DIV",
                "SQUARED_DIFFERENCE")


def activations(graph: Graph, op: Op) -> list[Tensor]:
    """Its operands that are not weights or settings, and results."""
    count = 2 if op.kind in TWO_OPERANDS else 1
    return [graph.tensors[i] for i in (*op.inputs[:count], *op.outputs)]


def int8_activations(graph: Graph, op: Op) -> str | None:
    """Activations are int8 with one scale and a zero point."""
    return of_one_scale(graph, op, ("int8",))


def not_int8(graph: Graph, op: Op, tensor: Tensor) -> str:
    """What to do about a tensor of an operator that is not int8."""
    if tensor.dtype == "float32" and op.kind == "QUANTIZE":
        return f"'{tensor.name}' is float32, which the host quantizes"
    if tensor.dtype == "complex64":
        return f"'{tensor.name}' is complex64, which only the host computes"
    left = tensor.dtype == "float32" and any(other.quantization for other in graph.tensors)
    way = "quantize this operator, too" if left else "quantize the model to int8"
    return f"'{tensor.name}' is {tensor.dtype}; {way}"


def of_one_scale(graph: Graph, op: Op, dtypes: tuple[str, ...],
                 way: str | None = None) -> str | None:
    """None for activations of these dtypes with one scale; ``way`` out of others, if not int8."""
    for tensor in activations(graph, op):
        if tensor.dtype not in dtypes:
            return (f"'{tensor.name}' is {tensor.dtype}; {way}" if way
                    else not_int8(graph, op, tensor))
        if tensor.quantization is None or len(tensor.quantization.scales) != 1:
            return f"'{tensor.name}' has not one scale; quantize it per tensor"
    return None


def bytes_of_one_scale(graph: Graph, op: Op) -> str | None:
    """Activations are int8 or uint8 with one scale and a zero point."""
    return int8_activations(graph, op)      # ``uint8_to_int8`` has been there


def some_elements(graph: Graph, op: Op) -> str | None:
    """Activations have elements."""
    empty = next((t for t in activations(graph, op) if not prod(t.shape)), None)
    return None if empty is None else f"'{empty.name}' has no elements; fix the model's shapes"


def constant_weights(graph: Graph, op: Op) -> str | None:
    """Weights are constant int8 or uint8, with one scale or one an output channel."""
    weights = graph.tensors[op.inputs[1]]
    axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
    if weights.data is None:
        return f"weights '{weights.name}' are computed; make them constant"
    q = weights.quantization
    # int16 is what uint8 less a zero point may need.
    wide = weights.dtype == "int16" and (np.abs(weights.data) < 256).all()
    if not (weights.dtype == "int8" or wide) or q is None:
        return f"weights '{weights.name}' are {weights.dtype}; quantize them to int8"
    if any(q.zero_points):
        return (f"weights '{weights.name}' have zero point {next(filter(None, q.zero_points))}; "
                f"quantize them symmetrically")
    if len(q.scales) > 1 and q.axis != axis:
        return f"weights '{weights.name}' have scales along axis {q.axis}; use axis {axis}"
    return None


def constant_bias(graph: Graph, op: Op) -> str | None:
    """The bias, if any, is constant int32 with zero point 0."""
    return another_bias(graph, op, "int32")


def another_bias(graph: Graph, op: Op, dtype: str) -> str | None:
    """None for an operator without bias, or with a constant one of ``dtype`` and zero point 0."""
    if len(op.inputs) < 3 or op.inputs[2] == -1:
        return None
    bias = graph.tensors[op.inputs[2]]
    if bias.data is None:
        return f"bias '{bias.name}' is computed; make it constant"
    if bias.dtype != dtype:
        return f"bias '{bias.name}' is {bias.dtype}; use {dtype}"
    wrong = any(bias.quantization.zero_points) if bias.quantization else False
    return f"bias '{bias.name}' has a zero point; quantize it symmetrically" if wrong else None


def known_activation(graph: Graph, op: Op) -> str | None:
    """The fused activation is NONE, RELU, RELU6 or RELU_N1_TO_1."""
    name = op.attributes.get("activation", "NONE")
    return None if name in ACTIVATIONS else (
        f"fused activation {name} is not supported; use one of {', '.join(ACTIVATIONS)}")


def same_quantization(graph: Graph, op: Op) -> str | None:
    """Input and output have the same scale and zero point, unless the rule is qdq."""
    if op.rule == "qdq":
        return None
    x, y = (graph.tensors[i].quantization for i in (op.inputs[0], op.outputs[0]))
    assert x is not None and y is not None
    return None if abs(x.scale - y.scale) <= 1e-6 and x.zero_point == y.zero_point else (
        "its input and output have different scales or zero points; give them the same")


def unpadded(graph: Graph, op: Op) -> str | None:
    """There is no padding, unless it counts."""
    pads = op.attributes["padding"]
    return None if pads == ((0, 0), (0, 0)) or op.attributes.get("count_padding") else (
        f"{'maximum' if op.kind == 'MAX_POOL_2D' else 'average'} pooling with padding is not "
        f"supported; use VALID padding")


def another_rule(rules: tuple[str, ...], op: Op) -> str | None:
    """None for an operator of these rules."""
    return None if op.rule in rules else (
        f"the accelerator rounds by rule {rules[0]}, this one by {op.rule}; export it for LiteRT")


def known_rule(*rules: str) -> Limit:
    """The limit of an operator that is exact by these rules only, LiteRT's of int8 first."""
    def limit(graph: Graph, op: Op) -> str | None:
        """It is LiteRT's of 8 bits, or of a quantised ONNX model."""
        return another_rule(rules, op)

    return limit


def integers_of_one_scale(graph: Graph, op: Op) -> str | None:
    """With a vector unit: activations have one scale; QUANTIZE also takes or gives int8."""
    return of_one_scale(graph, op, ("int8", "int16"), "use int8 or int16")


def int16_of_one_scale(graph: Graph, op: Op) -> str | None:
    """With a vector unit: input and output are int16, with one scale each."""
    return of_one_scale(graph, op, ("int16",), "use int16 for both")


def constant_int64_bias(graph: Graph, op: Op) -> str | None:
    """The bias, if any, is constant int64 with zero point 0."""
    return another_bias(graph, op, "int64")


def sums_of_32_bits(graph: Graph, op: Op) -> str | None:
    """Sums stay within 32 bits, whatever the input is, and are rescaled by less than 1/2."""
    return None      # ``legalize`` and ``lower`` know the sums


def rule_of_int16(rule: str) -> Limit:
    """The limit of an operator of int16, whose program has this rule."""
    def limit(graph: Graph, op: Op) -> str | None:
        """The rule is LiteRT's."""
        return another_rule((rule,), op)

    return limit


def elementwise_int16(rule: str) -> tuple[Limit, ...]:
    """The limits of an operator of int16, element by element."""
    return integers_of_one_scale, some_elements, rule_of_int16(rule)


def summed_int16(rule: str) -> tuple[Limit, ...]:
    """The limits of an operator of int16 that sums products on the array."""
    return (int16_of_one_scale, some_elements, rule_of_int16(rule), known_activation,
            sums_of_32_bits)


def weighted_int16(rule: str) -> tuple[Limit, ...]:
    """The limits of a sum of products of int16 with weights."""
    return *summed_int16(rule), constant_weights, constant_int64_bias


BYTES: tuple[Limit, ...] = (bytes_of_one_scale, some_elements, known_activation)
WEIGHTED: tuple[Limit, ...] = (*BYTES, constant_weights, constant_bias)
