"""What the vector unit takes of operators of int16: limits as in ``kaniwa.passes.limits``."""

from __future__ import annotations

from math import prod

from kaniwa.errors import ModelError
from kaniwa.graph import Graph, Op
from kaniwa.passes.functions import interpolated_table
from kaniwa.passes.limits import (
    Limit,
    activations,
    another_bias,
    another_rule,
    constant_weights,
    known_activation,
    neighboring_axes,
    of_one_scale,
    one_group,
    plain_weights,
    same_quantization,
    some_elements,
    unpadded,
)

__all__ = ["INTERPOLATED", "SUMMED", "WIDE_LIMITS", "is_wide"]

INTERPOLATED = ("GELU", "EXP", "LOG")
# What sums products; MEAN and AVERAGE_POOL_2D with weights of 1.
SUMMED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "AVERAGE_POOL_2D")
# By kind, the rule that its program has.
RULES = {
    "CONV_2D": "litert_int16", "DEPTHWISE_CONV_2D": "litert_int16",
    "FULLY_CONNECTED": "litert_float_half_away", "MEAN": "litert_mean",
    "AVERAGE_POOL_2D": "litert_average_pool",
    "ADD": "litert_add", "SUB": "litert_sub", "MUL": "litert_mul",
    **dict.fromkeys(("QUANTIZE", "RELU", "RELU6"), "litert_double_rounding"),
    **dict.fromkeys(("LOGISTIC", "TANH"), "litert_sigmoid_table"),
    **dict.fromkeys(INTERPOLATED, "litert_table_int16"),
}


def is_wide(graph: Graph, op: Op) -> bool:
    """Whether the vector unit has to do it: an activation is int16."""
    return op.kind in RULES and any(t.dtype == "int16" for t in activations(graph, op))


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


def same_elements(graph: Graph, op: Op) -> str | None:
    """An operand that is broadcast is a constant."""
    result = graph.tensors[op.outputs[0]]
    for tensor in activations(graph, op):
        if tensor.data is None and prod(tensor.shape) != prod(result.shape):
            return (f"'{tensor.name}' is broadcast from {list(tensor.shape)} to "
                    f"{list(result.shape)}; in int16 only constants may be")
    return None


def rule_of_int16(graph: Graph, op: Op) -> str | None:
    """The rule is LiteRT's."""
    return another_rule((RULES[op.kind],), op)


def function_of_int16(graph: Graph, op: Op) -> str | None:
    """The function is defined for all of int16."""
    try:
        interpolated_table(graph, op, op.kind)
    except ModelError:
        x = graph.tensors[op.inputs[0]]
        return f"it is not defined for every value of '{x.name}'; quantize that in smaller steps"
    return None


_EVERY: tuple[Limit, ...] = (integers_of_one_scale, some_elements, rule_of_int16)
_SUMMED: tuple[Limit, ...] = (int16_of_one_scale, some_elements, rule_of_int16, known_activation,
                              sums_of_32_bits)
_WEIGHTED: tuple[Limit, ...] = (*_SUMMED, constant_weights, constant_int64_bias)
WIDE_LIMITS: dict[str, tuple[Limit, ...]] = {
    **dict.fromkeys(RULES, _EVERY),
    **dict.fromkeys(INTERPOLATED, (*_EVERY, function_of_int16)),
    **dict.fromkeys(("ADD", "SUB", "MUL"), (*_EVERY, known_activation, same_elements)),
    "CONV_2D": (*_WEIGHTED, one_group),
    "DEPTHWISE_CONV_2D": _WEIGHTED,
    "FULLY_CONNECTED": (*_WEIGHTED, plain_weights),
    "MEAN": (*_SUMMED, neighboring_axes),
    "AVERAGE_POOL_2D": (*_SUMMED, same_quantization, unpadded),
}
