"""What the vector unit takes of operators of int16: limits as in ``kaniwa.compiler.limits``."""

from __future__ import annotations

from math import prod

from kaniwa.compiler.array.functions import interpolated_table
from kaniwa.compiler.array.moves import CUTS, JOINS
from kaniwa.compiler.limits import (
    Limit,
    activations,
    another_bias,
    another_rule,
    constant_weights,
    known_activation,
    known_broadcast,
    neighboring_axes,
    of_one_scale,
    one_group,
    plain_weights,
    same_batch,
    same_quantization,
    some_elements,
    unpadded,
)
from kaniwa.compiler.plan.operands import pair
from kaniwa.errors import ModelError
from kaniwa.graph import Graph, Op

__all__ = ["INTERPOLATED", "SUMMED", "WIDE_LIMITS", "is_wide"]

INTERPOLATED = ("GELU", "EXP", "LOG", "RSQRT")
# What sums products; MEAN and AVERAGE_POOL_2D with weights of 1.
SUMMED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "AVERAGE_POOL_2D")
LARGEST_WINDOW = 12      # each element is an operand of a program, with a pointer of its own
# Never negative; of what is interpolated between entries that are corrected nothing is known.
POSITIVE = ("RELU", "RELU6", "LOGISTIC", "SOFTMAX")
# Never negative where what they read is not; a variable may be written elsewhere.
KEEPS_SIGN = ("ADD", "MUL", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "QUANTIZE", "TRANSPOSE",
              "RESHAPE", "EXPAND_DIMS", "SQUEEZE", *CUTS, *JOINS)
# By kind, the rule that its program has.
RULES = {
    "CONV_2D": "litert_int16", "DEPTHWISE_CONV_2D": "litert_int16",
    "FULLY_CONNECTED": "litert_float_half_away", "MEAN": "litert_mean",
    "AVERAGE_POOL_2D": "litert_average_pool", "SOFTMAX": "litert_softmax_tables",
    "BATCH_MATMUL": "litert_int16", "MAX_POOL_2D": "exact",
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


def small_window(graph: Graph, op: Op) -> str | None:
    """The window has at most 12 elements."""
    window = pair(op, "filter")
    return None if prod(window) <= LARGEST_WINDOW else (
        f"a window of {window[0]} x {window[1]} has more than {LARGEST_WINDOW} elements; pool in "
        f"two steps")


def scales_of_products(graph: Graph, op: Op) -> str | None:
    """The product of its operands' scales is less than a quarter of its result's."""
    return None      # ``lower`` rescales by it


def square_root_of_squares(graph: Graph, op: Op) -> str | None:
    """Its input is never negative: squares, what RELU, LOGISTIC or SOFTMAX gives, and sums, means,
    products and moves of such."""
    x = graph.tensors[op.inputs[0]]
    return None if never_negative(graph, x.id) else (
        f"'{x.name}' may be negative, where it is not defined; leave it to the host, or square "
        f"what it comes from")


def never_negative(graph: Graph, tensor_id: int) -> bool:
    """Whether no value of a tensor of int16 is below 0, as far as its producers tell."""
    data = graph.tensors[tensor_id].data
    if data is not None:
        return bool((data >= 0).all())
    made = next((op for op in graph.ops if tensor_id in op.outputs), None)
    if made is None or graph.tensors[tensor_id].dtype != "int16":
        return False
    if made.kind == "MUL" and len(set(made.inputs)) == 1 or made.kind in POSITIVE:
        return True
    sources = made.inputs if made.kind in ("ADD", "MUL", *JOINS) else made.inputs[:1]
    return made.kind in KEEPS_SIGN and all(never_negative(graph, i) for i in sources)


_EVERY: tuple[Limit, ...] = (integers_of_one_scale, some_elements, rule_of_int16)
_SUMMED: tuple[Limit, ...] = (int16_of_one_scale, some_elements, rule_of_int16, known_activation,
                              sums_of_32_bits)
_WEIGHTED: tuple[Limit, ...] = (*_SUMMED, constant_weights, constant_int64_bias)
WIDE_LIMITS: dict[str, tuple[Limit, ...]] = {
    **dict.fromkeys(RULES, _EVERY),
    **dict.fromkeys(INTERPOLATED, (*_EVERY, function_of_int16)),
    "BATCH_MATMUL": (int16_of_one_scale, some_elements, rule_of_int16, same_batch,
                     scales_of_products),
    "SOFTMAX": (int16_of_one_scale, some_elements, rule_of_int16),
    "RSQRT": (*_EVERY, square_root_of_squares),
    **dict.fromkeys(("ADD", "SUB", "MUL"), (*_EVERY, known_activation, known_broadcast)),
    "CONV_2D": (*_WEIGHTED, one_group),
    "DEPTHWISE_CONV_2D": _WEIGHTED,
    "FULLY_CONNECTED": (*_WEIGHTED, plain_weights),
    "MEAN": (*_SUMMED, neighboring_axes),
    "AVERAGE_POOL_2D": (*_SUMMED, same_quantization, unpadded),
    "MAX_POOL_2D": (int16_of_one_scale, some_elements, rule_of_int16, known_activation,
                    same_quantization, unpadded, small_window),
}
