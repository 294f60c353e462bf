"""Recurrent cells: the array's products as sums of 32 bits, the gates on the vector unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.golden.lstm import BIAS, HIDDEN_STATE, INPUT_WEIGHTS, RECURRENT_WEIGHTS
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.isa import Mode
from kaniwa.layer import Geometry, Layer, quantization, source_of
from kaniwa.passes.accumulators import accumulator_range
from kaniwa.passes.lstm_operands import (
    cells_of,
    gates_of,
    has_projection,
    lstm_cell,
    steps_of,
    sums_of,
)
from kaniwa.passes.projection import project
from kaniwa.passes.streams import Stages, Words
from kaniwa.passes.sum_bytes import SUM_BYTES, sum_bytes
from kaniwa.rescale import Int64
from kaniwa.staged import RecurrentLayer
from kaniwa.vector.kernels import row_pitch
from kaniwa.vector.kernels_recurrent import (
    LstmPlaces,
    gates_bytes,
    lstm_program,
    lstm_table,
    why_no_lstm,
)

__all__ = ["lstm_layer", "sums_layer"]

LARGEST = 127


def sums_layer(model: Graph, cell: Op, op: Op, stored: Op, config: AcceleratorConfig,
               where: str) -> Layer:
    """The products of the inputs of all steps: [steps, gates, pitch] sums.

    ``cell`` is the operator in ``model``, ``op`` what ``legalize`` made of it. Raises CompileError
    for sums that may leave int32.
    """
    weights, bias = sums_of(model, cell, config, INPUT_WEIGHTS, 0, BIAS)
    depth, rows = weights.shape[1], steps_of(model, cell)
    of_bytes = np.repeat(weights, SUM_BYTES, axis=0)
    biases, rescale = sum_bytes(bias)
    accumulator_range(of_bytes, biases, where)
    channels = len(of_bytes)
    return Layer(op.name, cell.kind, Mode.DENSE, stored.inputs[0], op.outputs[0],
                 Geometry(1, (1, rows, depth), (1, rows, channels), (1, 1), (1, 1), (1, 1), (0, 0)),
                 of_bytes.astype(np.int8).reshape(channels, 1, 1, depth), biases,
                 quantization(model.tensors[cell.inputs[0]]).zero_point, rescale,
                 rows * len(gates_of(cell)) * cells_of(model, cell) * depth, source_of(op))


def lstm_layer(model: Graph, cell: Op, op: Op, stored: Op, config: AcceleratorConfig, where: str,
               first_id: int, stepwise: bool) -> tuple[RecurrentLayer, list[Tensor]]:
    """The steps, as in ``sums_layer``, and tensors of its own, with ids from ``first_id`` on.

    With ``stepwise`` a step has the products of its inputs, too: that takes longer, but no memory
    for the sums of all steps, nor for four copies of the weights. Raises CompileError where the
    unit cannot hold the cell, UnsupportedError for sums that it may not rescale exactly.
    """
    shared = lstm_cell(model, cell, config, where)
    problem = why_no_lstm(config, shared)
    if problem is not None:
        raise CompileError(f"{where}: {problem}")
    steps, gates, (inputs, hidden) = steps_of(model, cell), len(shared.gates), stored.inputs[:2]
    pitch = row_pitch(config, model.tensors[cell.outputs[0]].shape[-1])
    stages = Stages(op, config, 1, where, first_id)
    weights, bias = sums_of(model, cell, config, RECURRENT_WEIGHTS, HIDDEN_STATE)
    factors = [_Factor(stages, "hidden", hidden, pitch, gates, weights, bias)]
    if stepwise:
        weights, bias = sums_of(model, cell, config, INPUT_WEIGHTS, 0, BIAS)
        factors.append(_Factor(stages, "inputs", inputs, weights.shape[1], gates, weights, bias))
    for factor in factors:
        factor.copy()
    stages.settle()
    size, group = SUM_BYTES * len(weights), SUM_BYTES * config.requant_lanes
    sums = []
    for factor in factors:      # behind the first one's sums is room for the gates
        more = max(group, gates_bytes(config, shared) if factor is factors[0] else 0)
        sums.append(stages.between(f"{factor.name}:sums", size + more))
        factor.multiply(sums[-1])
    stages.run_program()
    rows, macs = op.outputs[0], sum(factor.count for factor in factors) * gates
    if has_projection(cell):
        rows = stages.between("projected", row_pitch(config, shared.count))
        project(stages, model, cell, rows, op.outputs[0], pitch)
        stages.settle()
        macs += shared.projected

    def program(reads: tuple[int, ...], ofm: int, table: int) -> tuple[bytes, int, int]:
        own = dict(zip(layer.between, reads[-len(layer.between):], strict=True))
        h, c = reads[-2 - len(own):-len(own)]
        return lstm_program(config, shared, LstmPlaces(
            own[sums[1]] if stepwise else reads[0], own[sums[0]], table, own[sums[0]] + size,
            reads[2], c, h, own.get(rows, ofm), stepwise, ofm + (steps - 1) * pitch))

    layer = stages.finish(stored, lambda reads, ofm, table: program(reads, ofm, table)[0],
                          lstm_table(config, shared), steps * shared.count * macs)
    _, again, behind = program((0,) * (5 + len(layer.between)), 0, 0)
    return RecurrentLayer(**vars(layer) | {
        "op": cell.kind, "steps": steps, "states": op.outputs[1:], "again": again,
        "behind": behind, "rows": rows}), stages.tensors


class _Factor:
    """What all gates are multiplied by in a step: the hidden state, or its input.

    The weights are activations, a pixel for each sum, and the vector, ``count`` bytes of ``source``
    or of a row of it, ``pitch`` bytes behind the one before, is the weights of the four channels
    that make the sum's bytes. What the sum has besides, ``bias``, is more columns of the weights,
    by constants behind the vector. Raises CompileError for sums that may leave int32.
    """

    def __init__(self, stages: Stages, name: str, source: int, pitch: int, gates: int,
                 weights: Int64, bias: Int64) -> None:
        accumulator_range(weights, bias, stages.where)
        constants, columns = _factors(bias)
        self.name, self.count = name, weights.shape[1]
        self._stages, self._source, self._pitch = stages, source, pitch
        self._words = Words(stages.config, 1, SUM_BYTES, self.count + len(constants),
                            stages.config.out_lanes)
        matrix = np.concatenate([weights, columns], axis=1).astype(np.int8)
        self._shape = gates, len(matrix) // gates, matrix.shape[1]
        self._matrix = stages.constant(f"{name}:weights", matrix)
        self._stream = self._words.stream(stages.filled(
            name, self._words.template(constants), self.count))

    def copy(self) -> None:
        """To where it is weights."""
        self._stages.repeat(self._source, self._stream.tensor, self._words, self.count,
                            self._pitch)

    def multiply(self, sums: int) -> None:
        """int32 [gates, pitch], to ``sums``."""
        biases, rescale = sum_bytes(np.zeros(1, np.int64))
        product = self._stages.layer(self._matrix, sums, self._shape,
                                     (*self._shape[:2], SUM_BYTES), rescale)
        self._stages.add(replace(product, bias=biases), self._stream)


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
