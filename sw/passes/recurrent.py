"""Recurrent cells: the array's products as sums of 32 bits, the gates on the vector unit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.golden.lstm import BIAS, CELL_STATE, HIDDEN_STATE, INPUT_WEIGHTS, RECURRENT_WEIGHTS
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.isa import Mode
from kaniwa.layer import Geometry, Layer, quantization, source_of
from kaniwa.passes.accumulators import accumulator_range
from kaniwa.passes.streams import Stages, Words
from kaniwa.passes.sum_bytes import SUM_BYTES, sum_bytes
from kaniwa.rescale import Int64, quantize_multiplier
from kaniwa.staged import RecurrentLayer
from kaniwa.vector.kernels import Rescaling, Scaling, row_pitch
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

LARGEST = 127
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
    weights, bias, zero_point = _weights(model, cell, config, INPUT_WEIGHTS, 0, BIAS)
    depth, rows = weights.shape[1], steps_of(model, cell)
    of_bytes = np.repeat(weights, SUM_BYTES, axis=0)
    biases, rescale = sum_bytes(bias)
    accumulator_range(of_bytes, biases, where)
    channels = len(of_bytes)
    return Layer(op.name, cell.kind, Mode.DENSE, stored.inputs[0], op.outputs[0],
                 Geometry(1, (1, rows, depth), (1, rows, channels), (1, 1), (1, 1), (1, 1), (0, 0)),
                 of_bytes.astype(np.int8).reshape(channels, 1, 1, depth), biases, zero_point,
                 rescale, rows * GATES * _count(model, cell) * depth, source_of(op))


def lstm_layer(model: Graph, cell: Op, op: Op, stored: Op, config: AcceleratorConfig, where: str,
               first_id: int, stepwise: bool) -> tuple[RecurrentLayer, list[Tensor]]:
    """The steps, as in ``sums_layer``, and tensors of its own, with ids from ``first_id`` on.

    With ``stepwise`` a step has the products of its inputs, too: that takes longer, but no memory
    for the sums of all steps, nor for four copies of the weights. Raises CompileError where the
    unit cannot hold the cell.
    """
    shared = _cell(model, cell)
    problem = why_no_lstm(config, shared)
    if problem is not None:
        raise CompileError(f"{where}: {problem}")
    count, inputs, hidden = shared.count, *stored.inputs[:2]
    stages = Stages(op, config, 1, where, first_id)
    weights, bias, _ = _weights(model, cell, config, RECURRENT_WEIGHTS, HIDDEN_STATE)
    factors = [_Factor(stages, "hidden", hidden, row_pitch(config, count), weights, bias)]
    if stepwise:
        weights, bias, _ = _weights(model, cell, config, INPUT_WEIGHTS, 0, BIAS)
        factors.append(_Factor(stages, "inputs", inputs, weights.shape[1], weights, bias))
    for factor in factors:
        factor.copy()
    stages.settle()
    size, group = SUM_BYTES * GATES * gate_pitch(config, count), SUM_BYTES * config.requant_lanes
    for factor in factors:      # behind the first one's sums is room for the gates
        more = max(group, gates_bytes(config, count) if factor is factors[0] else 0)
        factor.multiply(stages.between(f"{factor.name}:sums", size + more))
    stages.run_program()

    def program(reads: tuple[int, ...], ofm: int, table: int) -> tuple[bytes, int, int]:
        h, c, recurrent, *own = reads[-2 - len(factors):]
        return lstm_program(config, shared, LstmPlaces(
            own[0] if own else reads[0], recurrent, table, recurrent + size, reads[2], c, h, ofm,
            stepwise))

    steps = steps_of(model, cell)
    layer = stages.finish(stored, lambda reads, ofm, table: program(reads, ofm, table)[0],
                          lstm_table(config, shared),
                          steps * GATES * count * sum(factor.count for factor in factors))
    _, again, behind = program((0,) * 6, 0, 0)
    return RecurrentLayer(**vars(layer) | {
        "op": cell.kind, "steps": steps, "states": op.outputs[1:], "again": again,
        "behind": behind}), stages.tensors


class _Factor:
    """What all gates are multiplied by in a step: the hidden state, or its input.

    The weights are activations, a pixel for each sum, and the vector, ``count`` bytes of ``source``
    or of a row of it, ``pitch`` bytes behind the one before, is the weights of the four channels
    that make the sum's bytes. What the sum has besides, ``bias``, is more columns of the weights,
    by constants behind the vector. Raises CompileError for sums that may leave int32.
    """

    def __init__(self, stages: Stages, name: str, source: int, pitch: int, weights: Int64,
                 bias: Int64) -> None:
        accumulator_range(weights, bias, stages.where)
        constants, columns = _factors(bias)
        self.name, self.count = name, weights.shape[1]
        self._stages, self._source, self._pitch = stages, source, pitch
        self._words = Words(stages.config, 1, SUM_BYTES, self.count + len(constants),
                            stages.config.out_lanes)
        matrix = np.concatenate([weights, columns], axis=1).astype(np.int8)
        self._shape = GATES, len(matrix) // GATES, matrix.shape[1]
        self._matrix = stages.constant(f"{name}:weights", matrix)
        self._stream = self._words.stream(stages.filled(
            name, self._words.template(constants), self.count))

    def copy(self) -> None:
        """To where it is weights."""
        self._stages.repeat(self._source, self._stream.tensor, self._words, self.count,
                            self._pitch)

    def multiply(self, sums: int) -> None:
        """int32 [GATES, pitch], to ``sums``."""
        biases, rescale = sum_bytes(np.zeros(1, np.int64))
        product = self._stages.layer(self._matrix, sums, self._shape,
                                     (*self._shape[:2], SUM_BYTES), rescale)
        self._stages.add(replace(product, bias=biases), self._stream)


def _weights(model: Graph, cell: Op, config: AcceleratorConfig, first: int, operand: int,
             bias_at: int | None = None) -> tuple[Int64, Int64, int]:
    """The weights of all gates from operand ``first`` on, [gates * pitch, depth], what their sums
    of products with ``operand`` have besides, and its zero point."""
    matrices = [_constant(model, cell, first + gate) for gate in GATE_ORDER]
    pad = gate_pitch(config, len(matrices[0])) - len(matrices[0])
    weights = np.concatenate([np.pad(matrix, ((0, pad), (0, 0))) for matrix in matrices]).astype(
        np.int64)
    zero_point = quantization(model.tensors[cell.inputs[operand]]).zero_point
    bias = -zero_point * weights.sum(axis=1)
    if bias_at is not None:
        bias += np.concatenate([np.pad(_constant(model, cell, bias_at + gate), (0, pad))
                                for gate in GATE_ORDER])
    return weights, bias, zero_point


def _factors(values: Int64) -> tuple[list[int], Int64]:
    """Constants, and for each of ``values`` int8 factors [values, constants], with which their
    products add up to it."""
    if not values.any():
        return [], np.zeros((len(values), 0), np.int64)
    rest = values - LARGEST * (large := np.rint(values / LARGEST).astype(np.int64))
    columns = [rest]
    while large.any():
        columns.append(part := large.clip(-LARGEST, LARGEST))
        large = large - part
    return [1] + [LARGEST] * (len(columns) - 1), np.stack(columns, axis=1)


def _count(model: Graph, cell: Op) -> int:
    return len(_constant(model, cell, INPUT_WEIGHTS))


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
        _count(model, cell), scalings(INPUT_WEIGHTS, 0),
        scalings(RECURRENT_WEIGHTS, HIDDEN_STATE), power,
        Rescaling(quantize_multiplier(float(real)), hidden[1]), bound)
