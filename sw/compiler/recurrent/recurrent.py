"""Recurrent cells: the array's products as sums of 32 bits, the gates on the vector unit."""

from __future__ import annotations

from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.staged import RecurrentLayer
from kaniwa.compiler.plan.streams import Stages
from kaniwa.compiler.plan.sum_bytes import SUM_BYTES
from kaniwa.compiler.recurrent.cell_unit import why_no_sequence
from kaniwa.compiler.recurrent.lstm_operands import (
    has_projection,
    lstm_cell,
    steps_of,
    sums_of,
)
from kaniwa.compiler.recurrent.projection import project
from kaniwa.compiler.recurrent.step_factor import StepFactor, StepVector
from kaniwa.errors import CompileError
from kaniwa.golden.tflite.recurrent import BIAS, HIDDEN_STATE, INPUT_WEIGHTS, RECURRENT_WEIGHTS
from kaniwa.units.vector.kernels.elementary import row_pitch
from kaniwa.units.vector.kernels.recurrent import (
    LstmPlaces,
    gates_bytes,
    lstm_program,
    lstm_table,
    why_no_lstm,
)

__all__ = ["lstm_layer"]


def lstm_layer(lowering: Lowering) -> Lowered:
    """The steps, of sums as ``sums_layer`` makes them.

    A cell that is time-multiplexed has the products of its inputs in each step, too: that takes
    longer, but no memory for the sums of all steps, nor for four copies of the weights. Raises
    CompileError where the unit cannot hold the cell, UnsupportedError for sums that it may not
    rescale exactly.
    """
    model, cell, op = lowering.model, lowering.origin, lowering.op
    config, stepwise = lowering.config, lowering.time_multiplexed
    shared = lstm_cell(model, cell, config, lowering.where)
    problem = why_no_lstm(config, shared)
    if problem is not None:
        plain = why_no_sequence(model, cell, shared)
        hint = f"; the cell unit has none with {plain}" if config.cell_unit and plain else ""
        raise CompileError(f"{lowering.where}: {problem}{hint}")
    steps, gates = steps_of(model, cell), len(shared.gates)
    inputs, hidden = lowering.stored.inputs[:2]
    pitch = row_pitch(config, model.tensors[cell.outputs[0]].shape[-1])
    stages = Stages(lowering)
    weights, bias = sums_of(model, cell, config, RECURRENT_WEIGHTS, HIDDEN_STATE)
    factors = [StepFactor(stages, "hidden", StepVector(hidden, pitch), gates, weights, bias)]
    if stepwise:
        weights, bias = sums_of(model, cell, config, INPUT_WEIGHTS, 0, BIAS)
        vector = StepVector(inputs, weights.shape[1])
        factors.append(StepFactor(stages, "inputs", vector, gates, weights, bias))
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

    layer = stages.finish(lambda reads, ofm, table: program(reads, ofm, table)[0],
                          lstm_table(config, shared), steps * shared.count * macs)
    _, again, behind = program((0,) * (5 + len(layer.between)), 0, 0)
    return RecurrentLayer(**vars(layer) | {
        "op": cell.kind, "steps": steps, "states": op.outputs[1:], "again": again,
        "behind": behind, "rows": rows, "first": hidden, "carried": op.outputs[0]}), stages.tensors
