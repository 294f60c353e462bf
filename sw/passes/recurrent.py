"""Recurrent cells: the array's products as sums of 32 bits, the gates on the vector unit."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.golden.lstm import BIAS, CELL_STATE, HIDDEN_STATE, INPUT_WEIGHTS, RECURRENT_WEIGHTS
from kaniwa.graph import Graph, Op
from kaniwa.isa import Mode
from kaniwa.layer import Geometry, Layer, RecurrentLayer, quantization, source_of
from kaniwa.passes.accumulators import accumulator_range
from kaniwa.passes.sum_bytes import SUM_BYTES, sum_bytes
from kaniwa.rescale import quantize_multiplier
from kaniwa.vector.kernels import Rescaling, Scaling
from kaniwa.vector.kernels_recurrent import (
    GATES,
    LstmCell,
    LstmPlaces,
    gate_pitch,
    gates_bytes,
    lstm_program,
    lstm_table,
    why_no_lstm,
)

__all__ = ["lstm_layer", "steps_of", "sums_layer"]

GATE_ORDER = (0, 1, 3, 2)      # of the operator's input, forget, cell, output, in the unit's order


def steps_of(model: Graph, cell: Op) -> int:
    """Steps of the cell's input, [batch, steps, depth] or [steps, batch, depth], of batch 1."""
    return math.prod(model.tensors[cell.inputs[0]].shape[:2])


def sums_layer(model: Graph, cell: Op, op: Op, stored: Op, config: AcceleratorConfig,
               where: str) -> Layer:
    """The products of the inputs of all steps: [steps, gates, pitch] sums.

    ``cell`` is the operator in ``model``, ``op`` what ``legalize`` made of it. Raises CompileError
    for sums that may leave int32.
    """
    return _product(model, cell, op, config, where, stored.inputs[0], op.outputs[0],
                    steps_of(model, cell), INPUT_WEIGHTS, BIAS, 0)


def lstm_layer(model: Graph, cell: Op, op: Op, stored: Op, config: AcceleratorConfig,
               where: str) -> RecurrentLayer:
    """The steps, as in ``sums_layer``. Raises CompileError where the unit cannot hold the cell."""
    sums, hidden, state = stored.inputs
    shared = _cell(model, cell)
    problem = why_no_lstm(config, shared)
    if problem is not None:
        raise CompileError(f"{where}: {problem}")
    product = _product(model, cell, op, config, where, hidden, op.outputs[0], 1,
                       RECURRENT_WEIGHTS, None, HIDDEN_STATE)
    pitch = gate_pitch(config, shared.count)
    size, steps = SUM_BYTES * GATES * pitch, steps_of(model, cell)

    def program(reads: tuple[int, ...], ofm: int, table: int) -> tuple[bytes, int]:
        first, _, before, after, last, scratch = reads
        return lstm_program(config, shared, LstmPlaces(
            first, scratch, table, scratch + size, before, last, after, ofm))

    return RecurrentLayer(
        op.name, cell.kind, (sums, hidden, state), op.outputs[0],
        lambda reads, ofm, table: program(reads, ofm, table)[0], lstm_table(config, shared),
        product.source, macs=product.macs * steps,
        scratch=size + gates_bytes(config, shared.count), product=product, steps=steps,
        states=op.outputs[1:], again=program((0,) * 6, 0, 0)[1])


def _product(model: Graph, cell: Op, op: Op, config: AcceleratorConfig, where: str, ifm: int,
             ofm: int, rows: int, first: int, bias_at: int | None, source: int) -> Layer:
    """``rows`` of the operand ``source`` times the weights from operand ``first`` on."""
    matrices = [_constant(model, cell, first + gate) for gate in GATE_ORDER]
    count, depth = matrices[0].shape
    pad = gate_pitch(config, count) - count
    weights = np.concatenate([np.pad(matrix, ((0, pad), (0, 0))) for matrix in matrices])
    zero_point = quantization(model.tensors[cell.inputs[source]]).zero_point
    bias = -zero_point * weights.sum(axis=1, dtype=np.int64)
    if bias_at is not None:
        bias += np.concatenate([np.pad(_constant(model, cell, bias_at + gate), (0, pad))
                                for gate in GATE_ORDER])
    of_bytes = np.repeat(weights, SUM_BYTES, axis=0)
    biases, rescale = sum_bytes(bias)
    accumulator_range(of_bytes.astype(np.int64), biases, where)
    channels = len(of_bytes)
    return Layer(op.name, cell.kind, Mode.DENSE, ifm, ofm,
                 Geometry(1, (1, rows, depth), (1, rows, channels), (1, 1), (1, 1), (1, 1), (0, 0)),
                 of_bytes.reshape(channels, 1, 1, depth), biases, zero_point, rescale,
                 rows * GATES * count * depth,
                 source_of(op))


def _constant(model: Graph, cell: Op, position: int) -> npt.NDArray[np.integer]:
    data = model.tensors[cell.inputs[position]].data
    assert data is not None
    return data


def _cell(model: Graph, cell: Op) -> LstmCell:
    """Scales as LiteRT computes them, in float32."""
    scale = {position: np.float32(quantization(model.tensors[cell.inputs[position]]).scale)
             for position in (0, HIDDEN_STATE, *(first + gate for gate in GATE_ORDER
                                                 for first in (INPUT_WEIGHTS, RECURRENT_WEIGHTS)))}
    gate_scales = cell.attributes["gate_scales"]
    hidden = cell.attributes["hidden"]
    assert isinstance(gate_scales, tuple) and isinstance(hidden, tuple)

    def scalings(first: int, operand: int) -> list[Scaling]:
        return [quantize_multiplier(float(scale[first + gate] * scale[operand]
                                          / np.float32(gate_scales[gate])))
                for gate in GATE_ORDER]

    power = math.frexp(quantization(model.tensors[cell.inputs[CELL_STATE]]).scale)[1] - 1
    clip = float(str(cell.attributes["cell_clip"]))
    bound = min(int(np.float32(clip) / np.float32(2.0**power)), 32767) if clip > 0 else 0
    real = np.float32(2.0**-15 / float(np.float32(hidden[0])) * 2.0**-15)
    return LstmCell(
        len(_constant(model, cell, INPUT_WEIGHTS)), scalings(INPUT_WEIGHTS, 0),
        scalings(RECURRENT_WEIGHTS, HIDDEN_STATE), power,
        Rescaling(quantize_multiplier(float(real)), hidden[1]), bound)
