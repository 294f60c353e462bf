"""What the accelerator takes of each operator: named limits, each with the reason and way out.

A limit takes the graph and the operator and returns None, or what the accelerator cannot take.
Its docstring is the sentence of ``kaniwa operators``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from kaniwa.compiler.array.functions import TABLES, WITH_CONSTANT, why_no_table
from kaniwa.compiler.array.moves import CUTS, JOINS, REVERSED, VIEWS, moves
from kaniwa.compiler.plan.kinds import VECTOR_KINDS, WIDE, WIDE_BYTES, WIDE_SUMS
from kaniwa.compiler.recurrent.limits import (
    int8_cell,
    known_cell,
    own_sequences,
    plain_cell,
    short_gates,
)
from kaniwa.compiler.vector.layer_norm import layer_norm_of
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["LIMITS", "RULES", "Limit", "activations", "another_bias", "another_rule", "averaged",
           "constant_weights", "known_activation", "known_broadcast", "missing_unit",
           "neighboring_axes", "of_one_scale", "one_group", "plain_weights", "repeated",
           "same_batch", "same_quantization", "sentence", "some_elements", "swapped", "unpadded"]

Limit = Callable[[Graph, Op], str | None]
# Kinds that are exact by some rules only, LiteRT's of int8 first.
RULES = {"SOFTMAX": ("litert_softmax", "qdq_fixed_point"), "MEAN": ("litert_mean", "qdq"),
         "BATCH_MATMUL": ("litert_double_rounding", "qdq")}
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def activations(graph: Graph, op: Op) -> list[Tensor]:
    """Its operands that are not weights or settings, and results."""
    count = 2 if op.kind in ("ADD", "SUB", "MUL", "BATCH_MATMUL", *WITH_CONSTANT) else 1
    return [graph.tensors[i] for i in (*op.inputs[:count], *op.outputs)]


def int8_activations(graph: Graph, op: Op) -> str | None:
    """Activations are int8 with one scale and a zero point."""
    return of_one_scale(graph, op, ("int8",), "quantize the model to int8")


def of_one_scale(graph: Graph, op: Op, dtypes: tuple[str, ...], way: str) -> str | None:
    """None for activations of these dtypes with one scale; ``way`` out of others."""
    for tensor in activations(graph, op):
        if tensor.dtype not in dtypes:
            return f"'{tensor.name}' is {tensor.dtype}; {way}"
        if tensor.quantization is None or len(tensor.quantization.scales) != 1:
            return f"'{tensor.name}' has not one scale; quantize it per tensor"
    return None


def bytes_of_one_scale(graph: Graph, op: Op) -> str | None:
    """Activations are int8 or uint8 with one scale and a zero point."""
    return int8_activations(graph, op)      # ``signed`` has made uint8 int8


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


def one_group(graph: Graph, op: Op) -> str | None:
    """The convolution has one group."""
    x, weights = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    return None if weights.shape[3] == x.shape[3] else (
        "grouped convolutions are not supported; use one group, or a depthwise convolution")


def known_activation(graph: Graph, op: Op) -> str | None:
    """The fused activation is NONE, RELU, RELU6 or RELU_N1_TO_1."""
    name = op.attributes.get("activation", "NONE")
    return None if name in ACTIVATIONS else (
        f"fused activation {name} is not supported; use one of {', '.join(ACTIVATIONS)}")


def plain_weights(graph: Graph, op: Op) -> str | None:
    """Fully connected weights are a matrix in the default format."""
    plain = op.attributes.get("weights_format", 0) == 0
    plain = plain and len(graph.tensors[op.inputs[1]].shape) == 2
    return None if plain else "its weights are shuffled; store them as a matrix"


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


def known_broadcast(graph: Graph, op: Op) -> str | None:
    """A broadcast operand is a constant, or repeats its values over channels, over pixels, or both.
    """
    shape = graph.tensors[op.outputs[0]].shape
    for i in op.inputs:
        tensor = graph.tensors[i]
        if tensor.data is None and repeated(tensor.shape, shape) is None:
            return (f"'{tensor.name}' is broadcast from {list(tensor.shape)} to {list(shape)}; "
                    f"only constants, channels, or all pixels may be")
    return None


def repeated(shape: tuple[int, ...], wide: tuple[int, ...]) -> tuple[bool, bool] | None:
    """Whether broadcasting from ``shape`` to ``wide`` repeats pixels, channels; None for others."""
    own = (1,) * (len(wide) - len(shape)) + shape
    if own == wide:
        return False, False
    channels = own[-1:] != wide[-1:]
    if own[:-1] == wide[:-1]:
        return False, channels
    return (True, channels) if prod(own[:-1]) == 1 else None


def two_blocks_swapped(graph: Graph, op: Op) -> str | None:
    """It swaps two groups of neighboring axes."""
    view = swapped(graph.tensors[op.inputs[0]].shape, op.attributes["permutation"])
    return None if view is not None else (
        f"permutation {op.attributes['permutation']} does not swap two groups of neighboring axes; "
        f"transpose in two steps")


def swapped(shape: tuple[int, ...], permutation: object) -> tuple[int, int, int, int] | None:
    """[outer, first, second, run] of a transposition to [outer, second, first, run], or None; all
    is one run where nothing moves."""
    assert isinstance(permutation, tuple)
    order = [i for i in permutation if shape[i] > 1]
    axes = sorted(order)
    start = next((n for n, (a, b) in enumerate(zip(axes, order, strict=True)) if a != b), None)
    if start is None:
        return 1, 1, 1, prod(shape)
    end = next(n for n in range(len(axes), 0, -1) if axes[n - 1] != order[n - 1])
    cut = axes.index(order[start])
    if order[start:end] != axes[cut:end] + axes[start:cut]:
        return None
    sizes = [shape[i] for i in axes]
    return prod(sizes[:start]), prod(sizes[start:cut]), prod(sizes[cut:end]), prod(sizes[end:])


def integers_moved(graph: Graph, op: Op) -> str | None:
    """All that is moved is int8, uint8 or int16."""
    operands = op.inputs if op.kind in JOINS else op.inputs[:1]
    wrong = next((t for i in (*operands, *op.outputs)
                  for t in (graph.tensors[i],) if t.dtype not in ("int8", "int16")), None)
    return None if wrong is None else f"'{wrong.name}' is {wrong.dtype}; quantize the model to int8"


def same_steps(graph: Graph, op: Op) -> str | None:
    """Operands have the result's scale and zero point."""
    result = graph.tensors[op.outputs[0]]
    wrong = next((t for i in op.inputs for t in (graph.tensors[i],)
                  if t.quantization != result.quantization), None)
    return None if wrong is None else (
        f"'{wrong.name}' has another scale or zero point than '{result.name}'; give them the same")


def short_cut(graph: Graph, op: Op) -> str | None:
    """It cuts one or two axes, and takes neighbors."""
    return None if moves(graph, op) is not None else (
        "it cuts more than two axes, or leaves elements out between those it takes; slice in two "
        "steps")


def short_reversal(graph: Graph, op: Op) -> str | None:
    """It reverses up to 256 positions."""
    return None if moves(graph, op) is not None else (
        f"it reverses more than {REVERSED} positions, each an instruction; leave it to the host")


def function_of_one(graph: Graph, op: Op) -> str | None:
    """It is a function of one operand, others are one constant value, defined for all of int8."""
    return why_no_table(graph, op)


def known_rule(graph: Graph, op: Op) -> str | None:
    """It is LiteRT's of 8 bits, or of a quantised ONNX model."""
    return another_rule(RULES[op.kind], op)


def another_rule(rules: tuple[str, ...], op: Op) -> str | None:
    """None for an operator of these rules."""
    return None if op.rule in rules else (
        f"the accelerator rounds by rule {rules[0]}, this one by {op.rule}; export it for LiteRT")


def short_rows(graph: Graph, op: Op) -> str | None:
    """With a vector unit of R lanes: rows of at most 511 values, and a single one of 32 R."""
    return None      # what R is, ``lower`` knows


def last_axis(graph: Graph, op: Op) -> str | None:
    """It is along the last axis."""
    x = graph.tensors[op.inputs[0]]
    axis = op.attributes.get("axis", len(x.shape) - 1)
    return None if axis == len(x.shape) - 1 else (
        f"it is along axis {axis} of {list(x.shape)}, as it lies in memory; transpose '{x.name}'")


def normal_rows(graph: Graph, op: Op) -> str | None:
    """Rows have at most 256 values, epsilon is above 0, Scale below 2^12 steps of the output."""
    return None if layer_norm_of(graph, op) is not None else (
        "rows of more than 256 values, an epsilon of 0, or one or a Scale far too large for the "
        "quantization; change these")


def same_batch(graph: Graph, op: Op) -> str | None:
    """Both operands are computed, and have the same batch."""
    a, b = (graph.tensors[i] for i in op.inputs)
    for tensor in (a, b):
        if tensor.data is not None:
            return f"'{tensor.name}' is constant; make it a fully connected layer"
    return None if a.shape[:-2] == b.shape[:-2] else (
        f"'{a.name}' and '{b.name}' have batches {list(a.shape[:-2])} and {list(b.shape[:-2])}; "
        f"give them the same")


def neighboring_axes(graph: Graph, op: Op) -> str | None:
    """The axes are neighbors, but for axes of one element."""
    return None if averaged(graph, op) is not None else (
        f"a mean over axes {op.attributes['axes']}, between which others are kept, is not "
        f"supported; reduce neighbors")


def averaged(graph: Graph, op: Op) -> tuple[int, int, int] | None:
    """What MEAN sees of its operand: [outer, averaged, inner] elements, or None if it does not."""
    shape, axes = graph.tensors[op.inputs[0]].shape, op.attributes["axes"]
    assert isinstance(axes, tuple)
    wide = [i for i in axes if shape[i] > 1]
    first, last = min(wide, default=0), max(wide, default=-1)
    if any(shape[i] > 1 for i in range(first, last) if i not in wide):
        return None
    return prod(shape[:first]), prod(shape[first:last + 1]), prod(shape[last + 1:])


_ANY: tuple[Limit, ...] = (int8_activations, some_elements, known_activation)
_BYTES: tuple[Limit, ...] = (bytes_of_one_scale, some_elements, known_activation)
_WEIGHTED: tuple[Limit, ...] = (*_BYTES, constant_weights, constant_bias)

LIMITS: dict[str, tuple[Limit, ...]] = {
    "CONV_2D": (*_WEIGHTED, one_group),
    "DEPTHWISE_CONV_2D": _WEIGHTED,
    "FULLY_CONNECTED": (*_WEIGHTED, plain_weights),
    "AVERAGE_POOL_2D": (*_BYTES, same_quantization, unpadded),
    "MAX_POOL_2D": (*_BYTES, same_quantization),
    "ADD": (*_ANY, known_broadcast),
    "SUB": (*_ANY, known_broadcast),
    "MUL": (*_ANY, known_broadcast),
    "RELU": _ANY,
    "RELU6": _ANY,
    **dict.fromkeys(TABLES, (int8_activations, some_elements, function_of_one)),
    "SOFTMAX": (int8_activations, some_elements, known_rule, last_axis, short_rows),
    "LAYER_NORM": (int8_activations, some_elements, normal_rows),
    "MEAN": (int8_activations, some_elements, known_rule, neighboring_axes),
    "BATCH_MATMUL": (int8_activations, some_elements, known_rule, same_batch),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (int8_cell, plain_cell, own_sequences, short_gates),
    **dict.fromkeys(("LSTM", "GRU"), (known_cell, short_gates)),
    "TRANSPOSE": (integers_moved, some_elements, two_blocks_swapped),
    **dict.fromkeys(JOINS, (integers_moved, some_elements, same_steps)),
    **dict.fromkeys(CUTS, (integers_moved, some_elements)),
    **dict.fromkeys(("SLICE", "STRIDED_SLICE"), (integers_moved, some_elements, short_cut)),
    "REVERSE_V2": (integers_moved, some_elements, short_reversal),
    **dict.fromkeys(VIEWS, (integers_moved, some_elements)),
}


def sentence(limit: Limit) -> str:
    """What users read of a limit."""
    return (limit.__doc__ or "").strip().splitlines()[0]


def missing_unit(kind: str, config: AcceleratorConfig) -> str | None:
    """What the target lacks for a kind of operator that ``legalize`` leaves, or None."""
    if kind in ("ADD", "MUL", "TABLE") and not config.elementwise:
        return (f"target '{config.name}' has no elementwise unit; use a target with "
                f"elementwise = true")
    if kind == "MUL" and not config.elementwise_multiply:
        return (f"target '{config.name}' has no elementwise multiplier for the product of two "
                f"tensors; use a target with elementwise_multiply = true")
    if kind == "MAX_POOL_2D" and not config.max_pool:
        return f"target '{config.name}' has no max pooling; use a target with max_pool = true"
    if kind in (WIDE, WIDE_BYTES, WIDE_SUMS) and not config.vector_unit:
        return (f"target '{config.name}' has no vector unit, which int16 needs; quantize the model "
                f"to int8, or use a target with vector_unit = true")
    if kind in (*VECTOR_KINDS, "LSTM") and not config.vector_unit:
        return f"target '{config.name}' has no vector unit; use a target with vector_unit = true"
    return None
