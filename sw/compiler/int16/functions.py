"""Operators of int16, element by element, as programs of the vector unit; and of int8 the
SQUARED_DIFFERENCE of two scales."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import ClassVar

import numpy as np

from kaniwa.compiler.array.elementwise import (
    SQUARE_SHIFT,
    product_scale,
    square_of,
    sum_scales,
)
from kaniwa.compiler.array.functions import interpolated_table, pair_table
from kaniwa.compiler.int16.square import shifted_square
from kaniwa.compiler.plan.bounds import activation_bounds
from kaniwa.compiler.plan.layers import Code, Layer, VectorProgram
from kaniwa.compiler.plan.lookup import EVERY
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization, source_of
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.rescale import quantize_multiplier
from kaniwa.golden.tflite.sigmoid import input_rescale, sigmoid_table
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.units.vector.isa import Width
from kaniwa.units.vector.kernels import elementary as kernels
from kaniwa.units.vector.kernels.elementary import (
    ONE_Q31,
    Place,
    Rescaling,
    pair_words,
    table_words,
)

__all__ = ["WideProgram", "keep_tables", "wide_layer"]

WIDTHS = {"int8": Width.INT8, "int16": Width.INT16}
INTERPOLATED = ("GELU", "EXP", "LOG", "RSQRT")
LEFT_SHIFT = 15      # fractional bits of the common scale in LiteRT's ADD and SUB of int16
# A program for these places and that of the table, and the table.
Kernel = tuple[Callable[..., bytes], bytes]


@dataclass(frozen=True, eq=False)
class WideProgram(VectorProgram):
    """A WIDE operator. ``kept`` is the code where its table is in the registers already, as one
    without a table leaves it."""

    keeps_registers: ClassVar[bool] = True

    kept: Code = field(kw_only=True)

    def without_table(self) -> WideProgram:
        """The operator for a unit that has its table in the registers."""
        return replace(self, code=self.kept, table=b"")


def wide_layer(lowering: Lowering) -> Lowered:
    """The layer of a WIDE operator, the kernel of its kind in the model over all elements; and
    constants in full that are broadcast."""
    graph, op, kind = lowering.graph, lowering.op, lowering.source_kind
    tensors = [graph.tensors[i] for i in (*op.inputs, *op.outputs)]
    widths = [WIDTHS[tensor.dtype] for tensor in tensors]
    shape = tensors[-1].shape
    reads, made = list(lowering.stored.inputs), list[Tensor]()
    for number, tensor in enumerate(tensors[:-1]):
        if tensor.data is not None and prod(tensor.shape) != prod(shape):
            reads[number] = lowering.next_id + len(made)
            made.append(replace(tensor, id=reads[number], shape=shape, data=np.ascontiguousarray(
                np.broadcast_to(tensor.data, shape))))
    kernel, words = _KERNELS[kind](graph, op, kind)

    def code(reads: tuple[int, ...], ofm: int, table: int | None) -> bytes:
        places = [Place(address, width) for address, width in zip(
            (*reads, ofm), widths, strict=True)]
        return kernel(lowering.config, prod(shape), *places, *([table] if words else []))

    return WideProgram(
        op.name, kind, tuple(reads), op.outputs[0], code, words, source_of(op),
        kept=lambda reads, ofm, _: code(reads, ofm, None)), made


def keep_tables(plan: Plan) -> Plan:
    """A WIDE operator does not load the table that the one before it in its part has loaded."""
    layers, kept, part = list[Layer](), b"", -1
    for layer in plan.layers:
        if layer.part != part or not layer.keeps_registers:
            kept, part = b"", layer.part
        if layer.keeps_registers and layer.looked_up:
            if layer.looked_up == kept:
                layer = layer.without_table()
            else:
                kept = layer.looked_up
        layers.append(layer)
    return replace(plan, layers=tuple(layers))


def _end(op: Op, y: Tensor, real: float) -> Rescaling:
    """The rescaling by ``real`` to ``y``, and its activation, which may be the operator itself."""
    q, info, kind = quantization(y), np.iinfo(y.dtype), str(op.attributes["source_kind"])
    activation = kind if kind.startswith("RELU") else str(op.attributes.get("activation", "NONE"))
    limits = int(info.min), int(info.max)
    bounds = activation_bounds(activation, q.scale, q.zero_point, limits)
    return Rescaling(quantize_multiplier(real), q.zero_point, *(
        None if bound == limit else bound for bound, limit in zip(bounds, limits, strict=True)))


def _sum(graph: Graph, op: Op, kind: str) -> Kernel:
    a, b, y = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    first, second, last = sum_scales(quantization(a), quantization(b), quantization(y), LEFT_SHIFT)
    return partial(
        kernels.add, left_shift=LEFT_SHIFT, zero_points=(0, 0),
        scalings=(quantize_multiplier(first), quantize_multiplier(second)),
        end=_end(op, y, last), subtract=kind == "SUB"), b""


def _product(graph: Graph, op: Op, kind: str) -> Kernel:
    a, b, y = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    real = product_scale(quantization(a), quantization(b), quantization(y))
    return partial(kernels.multiply, zero_points=(0, 0), end=_end(op, y, real)), b""


def _squared_difference(graph: Graph, op: Op, kind: str) -> Kernel:
    a, b, y = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    coarse, entries, last = square_of(quantization(a), quantization(b), quantization(y))
    factor, end = 1 << SQUARE_SHIFT - 1, _end(op, y, last)
    if end.low is None and end.high is None:     # a store has no other limits than its type's
        results = pair_table(graph, replace(op, kind=kind)).astype(np.int64) - end.zero_point
        shifted = shifted_square(entries, factor, EVERY, results if coarse else results.T,
                                 127 - end.zero_point)
        if shifted:
            entries, factor = shifted.entries, shifted.factor
            end = replace(end, scaling=(ONE_Q31, -shifted.right))
    return (partial(kernels.squared_difference, coarse=coarse, factor=factor, end=end),
            table_words(np.roll(entries, -128)))


def _requantized(graph: Graph, op: Op, kind: str) -> Kernel:
    """QUANTIZE, and the RELU family, for which LiteRT divides the scales in float32."""
    x, y = (graph.tensors[i] for i in (*op.inputs, *op.outputs))
    before, after = quantization(x), quantization(y)
    real = (before.scale / after.scale if kind == "QUANTIZE" else
            float(np.float32(before.scale) / np.float32(after.scale)))
    return partial(kernels.requantize, zero_point=before.zero_point, end=_end(op, y, real)), b""


def _sigmoid(graph: Graph, op: Op, kind: str) -> Kernel:
    scale, tanh = quantization(graph.tensors[op.inputs[0]]).scale, kind == "TANH"
    entries = sigmoid_table()[:256]
    return (partial(kernels.sigmoid_int16, scaling=input_rescale(scale, (0, 1) if tanh else (0,)),
                    tanh=tanh),
            pair_words(np.append(np.diff(entries), 0), entries))


def _interpolated(graph: Graph, op: Op, kind: str) -> Kernel:
    return kernels.int16_table, kernels.interpolated_words(interpolated_table(graph, op, kind))


def _largest(graph: Graph, op: Op, kind: str) -> Kernel:
    return partial(kernels.largest, end=_end(op, graph.tensors[op.outputs[0]], 1.0)), b""


_KERNELS: dict[str, Callable[[Graph, Op, str], Kernel]] = {
    "ADD": _sum, "SUB": _sum, "MUL": _product, "MAX_POOL_2D": _largest,
    "SQUARED_DIFFERENCE": _squared_difference,
    **dict.fromkeys(("QUANTIZE", "RELU", "RELU6"), _requantized),
    **dict.fromkeys(("LOGISTIC", "TANH"), _sigmoid),
    **dict.fromkeys(INTERPOLATED, _interpolated),
}
