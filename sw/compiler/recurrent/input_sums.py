"""Products of a recurrent cell with the inputs of all steps: one layer of the array before them."""

from __future__ import annotations

import numpy as np

from kaniwa.compiler.plan.accumulators import accumulator_range
from kaniwa.compiler.plan.geometry import Geometry
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization, source_of
from kaniwa.compiler.plan.rescale import Int64
from kaniwa.compiler.plan.sum_bytes import SUM_BYTES, sum_bytes
from kaniwa.compiler.recurrent.lstm_operands import (
    cells_of,
    constant,
    gates_of,
    steps_of,
    sums_of,
)
from kaniwa.golden.tflite.recurrent import BIAS, GATES, INPUT_WEIGHTS
from kaniwa.graph import Graph, Op
from kaniwa.isa import Mode
from kaniwa.units.cell.isa import GATES as CELL_UNIT

__all__ = ["cell_unit_sums", "cell_unit_sums_layer", "input_sums", "sums_layer"]


def sums_layer(lowering: Lowering) -> Lowered:
    """The products of the inputs of all steps: [steps, gates, pitch] sums.

    Raises CompileError for sums that may leave int32.
    """
    model, cell = lowering.model, lowering.origin
    weights, bias = sums_of(model, cell, lowering.config, INPUT_WEIGHTS, 0, BIAS)
    return input_sums(lowering, weights, bias, len(gates_of(cell)) * cells_of(model, cell)), []


def cell_unit_sums_layer(lowering: Lowering) -> Lowered:
    """``sums_layer`` in the cell unit's order: [steps, cells, gates]."""
    weights, bias = cell_unit_sums(lowering.model, lowering.origin)
    return input_sums(lowering, weights, bias, len(bias)), []


def cell_unit_sums(model: Graph, cell: Op) -> tuple[Int64, Int64]:
    """Weights [4 cells, depth] of the input, the gates of a cell one behind the other, and what
    the sums have besides [4 cells]."""
    order = [GATES.index(gate) for gate in CELL_UNIT]
    weights, bias = (np.stack([constant(model, cell, first + gate) for gate in order], 1).astype(
        np.int64) for first in (INPUT_WEIGHTS, BIAS))
    weights = weights.reshape(bias.size, -1)
    zero_point = quantization(model.tensors[cell.inputs[0]]).zero_point
    return weights, bias.reshape(-1) - zero_point * weights.sum(axis=1)


def input_sums(lowering: Lowering, weights: Int64, bias: Int64, outputs: int) -> ArrayLayer:
    """``sums_layer`` of ``weights`` [sums, depth] and ``bias`` [sums], of which so many are the
    model's."""
    model, cell, op = lowering.model, lowering.origin, lowering.op
    depth, rows = weights.shape[1], steps_of(model, cell)
    of_bytes = np.repeat(weights, SUM_BYTES, axis=0)
    biases, rescale = sum_bytes(bias)
    accumulator_range(of_bytes, biases, lowering.where)
    channels = len(of_bytes)
    stored_weights = of_bytes.reshape(channels, 1, 1, depth).astype(np.int16)      # of 9 bits
    narrow = stored_weights.astype(np.int8)
    exact = bool((narrow == stored_weights).all())
    return ArrayLayer(op.name, cell.kind, Mode.DENSE, lowering.stored.inputs[0], op.outputs[0],
                 Geometry(1, (1, rows, depth), (1, rows, channels), (1, 1), (1, 1), (1, 1), (0, 0)),
                 narrow if exact else stored_weights, biases,
                 quantization(model.tensors[cell.inputs[0]]).zero_point, rescale,
                 rows * outputs * depth, source_of(op),
                 spread=lowering.config.spread if exact else 1)
