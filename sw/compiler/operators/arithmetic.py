"""Arithmetic of one or two operands on the accelerator."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.array.elementwise import has_one_value
from kaniwa.compiler.array.functions import pair_table, why_no_table
from kaniwa.compiler.operators.functions import table_operator
from kaniwa.compiler.operators.limits import (
    BYTES,
    bytes_of_one_scale,
    elementwise_int16,
    int8_activations,
    known_activation,
    some_elements,
)
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import as_table
from kaniwa.compiler.plan.kinds import WIDE
from kaniwa.compiler.plan.lookup import EVERY
from kaniwa.compiler.plan.operands import describe, quantization
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.errors import ModelError, UnsupportedError
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def _elementwise(rewriter: Rewriter, op: Op) -> None:
    shape = rewriter.tensors[op.outputs[0]].shape
    others = {i for i in op.inputs if not has_one_value(rewriter.tensors[i])}
    if len(others) == 1 and prod(rewriter.tensors[min(others)].shape) == prod(shape):
        rewriter.emit(op, "TABLE", op.inputs, {**op.attributes, "taps": 0})
        return
    inputs = _pair(rewriter, op, op.kind != "SUB")
    rewriter.emit(op, "MUL" if op.kind == "MUL" else "ADD", inputs, {**op.attributes, "taps": 0})


def _pair(rewriter: Rewriter, op: Op, either_way: bool) -> tuple[int, int]:
    """Both operands as an ADD takes them; a constant is the second one where that is the same."""
    shape = rewriter.tensors[op.outputs[0]].shape
    first, second = op.inputs
    if either_way and rewriter.tensors[first].data is not None:
        first, second = second, first
    channels = rewriter.tensors[second]
    if channels.data is None or channels.data.size != shape[-1] or (
            channels.shape[-1:] != shape[-1:]):
        second = _operand(rewriter, op, second, shape)     # else one pixel, the same for all
    return _operand(rewriter, op, first, shape), second


def _operand(rewriter: Rewriter, op: Op, tensor_id: int, shape: tuple[int, ...]) -> int:
    tensor = rewriter.tensors[tensor_id]
    if prod(tensor.shape) == prod(shape):
        return tensor_id
    if tensor.data is None:
        return rewriter.repeat(op, tensor, shape)
    return rewriter.tensor(f"{tensor.name}:broadcast", shape, tensor,
                           np.ascontiguousarray(np.broadcast_to(tensor.data, shape)))


def _by_program(rewriter: Rewriter, op: Op) -> None:
    """A program of the vector unit. A constant is repeated where it is stored, another operand by
    a convolution."""
    inputs, shape = list(op.inputs), rewriter.tensors[op.outputs[0]].shape
    for number, i in enumerate(inputs):
        tensor = rewriter.tensors[i]
        if tensor.data is None and prod(tensor.shape) != prod(shape):
            inputs[number] = rewriter.repeat(op, tensor, shape)
    rewriter.emit(op, WIDE, tuple(inputs), {**op.attributes, "taps": 0})


def table_or_two(graph: Graph, op: Op) -> str | None:
    """Of one constant value it is a function of the other operand, defined for all of int8."""
    if any(has_one_value(graph.tensors[i]) for i in op.inputs):
        return why_no_table(graph, op)
    return "it reads one tensor twice; leave it out" if len(set(op.inputs)) == 1 else None


def _in_steps_of_result(graph: Graph, op: Op) -> tuple[np.ndarray, np.ndarray]:
    """Functions [256] of the operands of MAXIMUM or MINIMUM, the extreme of which is the result:
    that of each value with the other operand's least, or greatest. For rounding keeps the order."""
    results = pair_table(graph, op)
    ends = np.min if op.kind == "MAXIMUM" else np.max
    functions = ends(results, axis=1), ends(results, axis=0)
    extreme = np.maximum if op.kind == "MAXIMUM" else np.minimum
    assert np.array_equal(extreme(functions[0][:, None], functions[1]), results)
    return functions


def square_of_steps(graph: Graph, op: Op) -> str | None:
    """Two operands have one scale, unless the target has a vector unit."""
    return None      # ``_squared_difference`` knows the target


def _squares(graph: Graph, op: Op) -> tuple[int, ...] | None:
    """The result of SQUARED_DIFFERENCE for each distance in steps, 255 standing for all beyond;
    None where it is no function of that."""
    try:
        results = pair_table(graph, op)
    except ModelError:
        return None
    distance = np.minimum(np.abs(_steps(graph, op)), 255).reshape(-1)
    entries = np.zeros(256, np.int8)
    entries[distance] = results.reshape(-1)
    return tuple(entries.tolist()) if np.array_equal(entries[distance], results.reshape(-1)) else (
        None)


def _steps(graph: Graph, op: Op) -> np.ndarray:
    """The difference of each pair of values, less that of the zero points."""
    values = EVERY.astype(np.int64)
    return values[:, None] - values - _zero_points(graph, op)


def _zero_points(graph: Graph, op: Op) -> int:
    """The difference of the operands' zero points."""
    a, b = (quantization(graph.tensors[i]).zero_point for i in op.inputs)
    return a - b


def _extreme(rewriter: Rewriter, op: Op) -> None:
    """b + relu(a - b), or a - relu(a - b)."""
    if any(has_one_value(rewriter.tensors[i]) for i in op.inputs):
        as_table(rewriter, op)
        return
    op = replace(op, inputs=tuple(
        _mapped(rewriter, op, i, function) for i, function in zip(
            op.inputs, _in_steps_of_result(rewriter.graph, op), strict=True)))
    first, second = _pair(rewriter, op, True)
    above = _positive(rewriter, op, (first, second), (1, -1, 0))
    if op.kind == "MAXIMUM":
        _of_bytes(rewriter, op, (above, second), (1, 1, 128))
    else:
        _of_bytes(rewriter, op, (first, above), (1, -1, -128))


def _mapped(rewriter: Rewriter, op: Op, source: int, function: np.ndarray) -> int:
    """A function of a tensor's bytes, in the result's steps."""
    if np.array_equal(function, EVERY):
        return source
    x, y = rewriter.tensors[source], rewriter.tensors[op.outputs[0]]
    if x.data is not None:
        return rewriter.tensor(f"{x.name}:mapped", x.shape, y, function[x.data.astype(int) + 128])
    made = rewriter.tensor(f"{x.name}:mapped", x.shape, y)
    rewriter.emit(op, "TABLE", (source,), {
        **op.attributes, "taps": 0, "table": tuple(function.tolist())}, made)
    return made


def _squared_difference(rewriter: Rewriter, op: Op) -> None:
    """A table of relu(a - b) + relu(b - a), or, of two scales, a program of the vector unit."""
    if any(has_one_value(rewriter.tensors[i]) for i in op.inputs):
        as_table(rewriter, op)
        return
    entries = _squares(rewriter.graph, op)
    if entries is None:
        if not rewriter.config.vector_unit:
            raise UnsupportedError(
                f"{describe(rewriter.graph, op)}: its operands have different scales; give them "
                f"the same, or use a target with vector_unit = true")
        _by_program(rewriter, op)
        return
    inputs, offset = _pair(rewriter, op, True), _zero_points(rewriter.graph, op)
    if rewriter.tensors[op.inputs[0]].data is not None:
        offset = -offset      # the constant is second now
    parts = [_positive(rewriter, op, inputs, (sign, -sign, -sign * offset)) for sign in (1, -1)]
    y = rewriter.tensors[op.outputs[0]]
    distance = rewriter.tensor(f"{y.name}:distance", y.shape, y)
    _of_bytes(rewriter, op, (parts[0], parts[1]), (1, 1, 128), distance)
    rewriter.emit(op, "TABLE", (distance,), {**op.attributes, "taps": 0, "table": entries})


def _positive(rewriter: Rewriter, op: Op, inputs: tuple[int, int],
              form: tuple[int, int, int]) -> int:
    """A tensor of what ``_of_bytes`` gives, from -128 for 0 and less to 127 for 255 and more."""
    y = rewriter.tensors[op.outputs[0]]
    made = rewriter.tensor(f"{y.name}:{'above' if form[0] > 0 else 'below'}", y.shape, y)
    first, second, more = form
    _of_bytes(rewriter, op, inputs, (first, second, more - 128), made)
    return made


def _of_bytes(rewriter: Rewriter, op: Op, inputs: tuple[int, int], form: tuple[int, int, int],
              output: int | None = None) -> None:
    """An ADD of bytes times a sign each, and a number, clamped to int8."""
    rewriter.emit(op, "ADD", inputs, {**op.attributes, "taps": 0, "of_bytes": form,
                                      "bounds": (-128, 127)}, output)


def _two_operands(kind: str, rule: str) -> DeviceOperator:
    return DeviceOperator(
        kind, BYTES, _elementwise,
        (*elementwise_int16(rule), known_activation), _by_program)


OPERATORS = (
    _two_operands("ADD", "litert_add"),
    _two_operands("SUB", "litert_sub"),
    _two_operands("MUL", "litert_mul"),
    table_operator("DIV"),
    table_operator("FLOOR_DIV"),
    *(DeviceOperator(kind, (bytes_of_one_scale, some_elements, table_or_two), _extreme)
      for kind in ("MAXIMUM", "MINIMUM")),
    DeviceOperator("SQUARED_DIFFERENCE", (
        int8_activations, some_elements, table_or_two, square_of_steps), _squared_difference),
    table_operator("ABS"),
    table_operator("NEG"),
)
