"""Constraints of every sound file: operand counts, ranks and shapes that fit each other.

Each constraint takes the operator and returns None, or what is wrong (a ``ModelError``).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from kaniwa.graph import Tensor
from kaniwa.importers.operands import Constraint, Operands, OptionError, shape_of
from kaniwa.importers.shapes import extent, output_size

__all__ = [
    "operand_count",
    "ranks",
    "positive_options",
    "window_shape",
    "conv_channels",
    "depthwise_channels",
    "matrix_weights",
    "fully_connected_shape",
    "bias_shape",
    "broadcast_shape",
    "same_shape",
    "axis_in",
    "output_is",
    "output_shape",
    "WrongShape",
]


class WrongShape(str):
    """The complaint about an output's shape, with the one that it should have."""

    output: Tensor
    shape: tuple[int, ...]


def output_shape(output: Tensor, expected: tuple[int, ...]) -> WrongShape | None:
    """None for an output with the ``expected`` shape."""
    if output.shape == expected:
        return None
    wrong = WrongShape(f"output {shape_of(output)} should be {list(expected)}")
    wrong.output, wrong.shape = output, expected
    return wrong


def operand_count(least: int, most: int, optional: int = 2, outputs: int | None = 1) -> Constraint:
    """``least`` to ``most`` inputs, of which those from ``optional`` on may be absent (-1).

    ``outputs`` is their number, None where a further constraint checks it.
    """

    def check(op: Operands) -> str | None:
        if not least <= len(op.inputs) <= most or outputs not in (None, len(op.outputs)):
            return f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs"
        absent = [i for i, t in enumerate(op.inputs) if t is None and i < optional]
        return f"input {absent[0]} is absent" if absent else None

    return check


def ranks(x: int, weights: int | None = None) -> Constraint:
    def check(op: Operands) -> str | None:
        expected = [(op.x, x), (op.output, x)] + (
            [] if weights is None else [(op.weights, weights)]
        )
        wrong = [(t, n) for t, n in expected if len(t.shape) != n]
        return f"{shape_of(wrong[0][0])} must have {wrong[0][1]} dimensions" if wrong else None

    return check


def positive_options(op: Operands) -> str | None:
    for name in ("stride", "dilation", "filter"):
        if name in op.attributes and min(op.pair(name)) < 1:
            return f"{name} {op.pair(name)} must be at least 1"
    return None


def window_shape(op: Operands) -> str | None:
    kernel = op.pair("filter") if "filter" in op.attributes else op.weights.shape[1:3]
    dilation = op.pair("dilation") if "dilation" in op.attributes else (1, 1)
    padding = str(op.attributes["padding"])
    size = [
        output_size(padding, n, extent(k, d), s)
        for n, k, d, s in zip(op.x.shape[1:3], kernel, dilation, op.pair("stride"), strict=True)
    ]
    channels = (
        op.x.shape[3]
        if "filter" in op.attributes
        else op.weights.shape[0 if op.kind == "CONV_2D" else 3]
    )
    expected = (op.x.shape[0], *size, channels)
    if min(size) < 1:
        return f"the kernel {list(kernel)} does not fit input {shape_of(op.x)}"
    return output_shape(op.output, expected)


def conv_channels(op: Operands) -> str | None:
    if op.weights.shape[3] < 1 or op.x.shape[3] % op.weights.shape[3]:
        return f"weights {shape_of(op.weights)} do not fit input {shape_of(op.x)}"
    return None


def depthwise_channels(op: Operands) -> str | None:
    multiplier = op.attributes["depth_multiplier"]
    if op.weights.shape[0] != 1 or op.weights.shape[3] != op.x.shape[3] * int(str(multiplier)):
        return (
            f"weights {shape_of(op.weights)} do not fit input {shape_of(op.x)} with depth "
            f"multiplier {multiplier}"
        )
    return None


def matrix_weights(op: Operands) -> str | None:
    if len(op.weights.shape) != 2 or not op.x.shape:
        return f"weights {shape_of(op.weights)} must have 2 dimensions"
    return None


def fully_connected_shape(op: Operands) -> str | None:
    channels, depth = op.weights.shape
    elements = math.prod(op.x.shape)
    if depth < 1 or elements % depth:
        return f"weights {shape_of(op.weights)} do not fit input {shape_of(op.x)}"
    expected: tuple[int, ...] = (elements // depth, channels)
    if op.attributes["keep_num_dims"]:
        if op.x.shape[-1] != depth:
            return f"weights {shape_of(op.weights)} do not fit input {shape_of(op.x)}"
        expected = (*op.x.shape[:-1], channels)
    return output_shape(op.output, expected)


def bias_shape(op: Operands) -> str | None:
    if op.bias is None:
        return None
    channels = op.output.shape[-1]
    return (
        None
        if op.bias.shape == (channels,)
        else (f"bias {shape_of(op.bias)} should be [{channels}]")
    )


def broadcast_shape(op: Operands) -> str | None:
    try:
        expected = np.broadcast_shapes(op.x.shape, op.weights.shape)
    except ValueError:
        return f"{shape_of(op.x)} and {shape_of(op.weights)} do not broadcast"
    return output_shape(op.output, expected)


def same_shape(op: Operands) -> str | None:
    return output_shape(op.output, op.x.shape)


def axis_in(axis: int, rank: int) -> int:
    """``axis`` of a tensor of ``rank`` axes, counted from the front."""
    if not -rank <= axis < rank:
        raise OptionError(f"axis {axis} does not exist, there are {rank}")
    return axis % rank


def output_is(expected: Callable[[Operands], tuple[int, ...]]) -> Constraint:
    """Every output has the shape that ``expected`` gives; it raises OptionError where none fits."""

    def check(op: Operands) -> str | None:
        try:
            shape = expected(op)
        except OptionError as error:
            return str(error)
        wrong = (output_shape(output, shape) for output in op.outputs)
        return next((what for what in wrong if what), None)

    return check
