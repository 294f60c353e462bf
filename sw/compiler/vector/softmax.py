"""SOFTMAX on the vector unit: a program for one row, or for R rows at a time, one in each lane."""

from __future__ import annotations

from math import prod

import numpy as np

from kaniwa.compiler.plan.layers import VectorProgram
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization, source_of
from kaniwa.compiler.plan.rescale import quantize_multiplier
from kaniwa.compiler.vector.spaced_rows import spaced_rows
from kaniwa.errors import CompileError
from kaniwa.golden.onnx.softmax import RULE as FIXED_POINT, exponential_table
from kaniwa.golden.tflite.softmax import exponential_table as litert_exponentials
from kaniwa.graph import Graph, Op
from kaniwa.units.vector.isa import Width
from kaniwa.units.vector.kernels.elementary import Place, table_words
from kaniwa.units.vector.kernels.softmax import (
    longest_in_registers,
    softmax,
    softmax_limit,
    softmax_rows,
)
from kaniwa.units.vector.kernels.softmax_forms import (
    SHORT_ROW,
    FixedPointForm,
    LitertForm,
    SoftmaxForm,
)
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["softmax_layer"]


def softmax_layer(lowering: Lowering) -> Lowered:
    """The layer of a SOFTMAX.

    Raises CompileError where the unit of the target cannot hold it.
    """
    graph, op, config = lowering.graph, lowering.op, lowering.config
    x, where = lowering.x, lowering.where
    columns = x.shape[-1] if x.shape else 1
    rows = prod(x.shape) // columns
    form, exponentials = (_fixed_point if op.rule == FIXED_POINT else _litert)(graph, op)
    most = softmax_limit(config, rows, form)
    if columns > most:
        raise CompileError(f"{where}: a row of {columns} is longer than the {most} that the vector "
                           f"unit of {config.requant_lanes} lanes takes")
    step = quantization(lowering.y).scale
    # Of short rows none needs a shift beyond 31.
    largest = 2.0 ** (3 - columns.bit_length()) if columns <= SHORT_ROW else 1.0
    if op.rule == FIXED_POINT and step > largest:
        raise CompileError(f"{where}: the output's scale {step:g} is too large for rows of "
                           f"{columns}; quantize it to at most {largest:g}")
    table = table_words(np.roll(exponentials, 1))
    tiles = Tiles(config.requant_lanes, rows, columns)

    def of_rows(x: int, y: int, table: int) -> bytes:
        return softmax_rows(config, tiles, x, y, table, form)

    in_lanes = rows > 1 or columns > longest_in_registers(config, form)
    if in_lanes and tiles.gap:
        return spaced_rows(lowering, tiles, table, of_rows)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        if in_lanes:
            return of_rows(reads[0], ofm, table)
        return softmax(config, columns, Place(reads[0], Width.INT8), Place(ofm, Width.INT8), table,
                       form)

    return VectorProgram(op.name, op.kind, lowering.stored.inputs[:1], op.outputs[0], code, table,
                       source_of(op)), []


def _litert(graph: Graph, op: Op) -> tuple[SoftmaxForm, np.ndarray]:
    """The form, and the exponentials of -255 to 0."""
    return LitertForm(), litert_exponentials(beta=float(str(op.attributes["beta"])),
                                             scale=quantization(graph.tensors[op.inputs[0]]).scale)


def _fixed_point(graph: Graph, op: Op) -> tuple[SoftmaxForm, np.ndarray]:
    x, y = (quantization(graph.tensors[i]) for i in (op.inputs[0], op.outputs[0]))
    bounds = op.attributes["bounds"]
    assert isinstance(bounds, tuple)
    return (FixedPointForm(*quantize_multiplier(1 / y.scale), y.zero_point, *bounds),
            exponential_table(x.scale))
