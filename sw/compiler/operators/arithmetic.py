"""Arithmetic of one or two operands on the accelerator."""

from __future__ import annotations

from math import prod

import numpy as np

from kaniwa.compiler.array.elementwise import has_one_value
from kaniwa.compiler.operators.functions import table_operator
from kaniwa.compiler.operators.limits import ANY, elementwise_int16, known_activation
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.plan.kinds import WIDE
from kaniwa.compiler.rewrite.rewriter import Rewriter, repeated
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


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


def _elementwise(rewriter: Rewriter, op: Op) -> None:
    shape = rewriter.tensors[op.outputs[0]].shape
    others = {i for i in op.inputs if not has_one_value(rewriter.tensors[i])}
    if len(others) == 1 and prod(rewriter.tensors[min(others)].shape) == prod(shape):
        rewriter.emit(op, "TABLE", op.inputs, {**op.attributes, "taps": 0})
        return
    first, second = op.inputs
    if op.kind != "SUB" and rewriter.tensors[first].data is not None:
        first, second = second, first
    channels = rewriter.tensors[second]
    if channels.data is None or channels.data.size != shape[-1] or (
            channels.shape[-1:] != shape[-1:]):
        second = _operand(rewriter, op, second, shape)     # else one pixel, the same for all
    inputs = _operand(rewriter, op, first, shape), second
    rewriter.emit(op, "MUL" if op.kind == "MUL" else "ADD", inputs, {**op.attributes, "taps": 0})


def _operand(rewriter: Rewriter, op: Op, tensor_id: int, shape: tuple[int, ...]) -> int:
    tensor = rewriter.tensors[tensor_id]
    if prod(tensor.shape) == prod(shape):
        return tensor_id
    if tensor.data is None:
        return rewriter.repeat(op, tensor, shape)
    return rewriter.tensor(f"{tensor.name}:broadcast", shape, tensor,
                           np.ascontiguousarray(np.broadcast_to(tensor.data, shape)))


def _of_int16(rewriter: Rewriter, op: Op) -> None:
    """A constant is repeated where it is stored, another operand by a convolution."""
    inputs, shape = list(op.inputs), rewriter.tensors[op.outputs[0]].shape
    for number, i in enumerate(inputs):
        tensor = rewriter.tensors[i]
        if tensor.data is None and prod(tensor.shape) != prod(shape):
            inputs[number] = rewriter.repeat(op, tensor, shape)
    rewriter.emit(op, WIDE, tuple(inputs), {**op.attributes, "taps": 0})


def _two_operands(kind: str, rule: str) -> DeviceOperator:
    return DeviceOperator(
        kind, (*ANY, known_broadcast), _elementwise,
        (*elementwise_int16(rule), known_activation, known_broadcast), _of_int16)


OPERATORS = (
    _two_operands("ADD", "litert_add"),
    _two_operands("SUB", "litert_sub"),
    _two_operands("MUL", "litert_mul"),
    table_operator("DIV"),
    table_operator("FLOOR_DIV"),
    table_operator("MAXIMUM"),
    table_operator("MINIMUM"),
    table_operator("SQUARED_DIFFERENCE"),
    table_operator("ABS"),
    table_operator("NEG", onnx=True),
)
