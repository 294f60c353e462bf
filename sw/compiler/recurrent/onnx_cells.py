"""LSTM and GRU of quantised ONNX models, in fixed point: sums from the array, gates on the vector
unit."""

from __future__ import annotations

import math

import numpy as np

from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import Int64
from kaniwa.compiler.plan.staged import RecurrentLayer
from kaniwa.compiler.plan.streams import Stages
from kaniwa.compiler.plan.sum_bytes import SUM_BYTES
from kaniwa.compiler.recurrent.input_sums import input_sums
from kaniwa.compiler.recurrent.lstm_operands import steps_of
from kaniwa.compiler.recurrent.step_factor import StepFactor, StepVector, whole_words
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.golden.onnx.recurrent import GATES, STATES
from kaniwa.golden.onnx.recurrent_fixed import (
    RULE,
    CellNumbers,
    cell_numbers,
    first_states,
    results_of,
    tangent_table,
)
from kaniwa.golden.registry import Call
from kaniwa.graph import Graph, Op
from kaniwa.units.vector.kernels.elementary import row_pitch
from kaniwa.units.vector.kernels.onnx_cells import (
    Cell,
    CellPlaces,
    FirstState,
    Result,
    cell_program,
    cell_table,
    scratch_bytes,
    why_no_cell,
)
from kaniwa.units.vector.kernels.recurrent import gate_pitch

__all__ = ["KINDS", "computed_states", "onnx_cell_layer", "onnx_sums_layer", "sums_of_step"]

KINDS = tuple(GATES)
DIGITS = 3
W, R = 1, 2      # positions of operands


def sums_of_step(model: Graph, cell: Op, config: AcceleratorConfig) -> int:
    """Number of sums of the inputs' products in a step, with what is between gates."""
    gates = GATES[cell.kind]
    return gates * gate_pitch(config, model.tensors[cell.outputs[0]].shape[-1], gates)


def onnx_sums_layer(lowering: Lowering) -> Lowered:
    """The products of the inputs of all steps: [steps, gates, pitch] sums.

    Raises CompileError for sums that may leave int32.
    """
    model, cell = lowering.model, lowering.origin
    return input_sums(lowering, *_inputs(model, cell, lowering.config),
                      model.tensors[cell.inputs[W]].shape[1]), []


def onnx_cell_layer(lowering: Lowering) -> Lowered:
    """The steps, as in ``onnx_sums_layer``.

    A cell that is time-multiplexed has the products of its inputs in each step, too, as in
    ``lstm_layer``. Raises CompileError where the unit cannot hold the cell.
    """
    model, cell, op = lowering.model, lowering.origin, lowering.op
    config, stepwise, stored = lowering.config, lowering.time_multiplexed, lowering.stored
    steps, count = steps_of(model, cell), model.tensors[cell.outputs[0]].shape[-1]
    problem = why_no_cell(config, count)
    if problem is not None:
        raise CompileError(f"{lowering.where}: {problem}")
    numbers = _numbers(model, cell)
    shared = _cell(model, cell, numbers)
    pitch = math.lcm(row_pitch(config, 1), whole_words(config, 1))
    pitch *= -(-count // pitch)
    stages = Stages(lowering)
    carried = stages.between("digits", DIGITS * pitch)
    weights = _matrix(model, cell, config, R)
    state = StepFactor(stages, "state", StepVector(carried, 0, DIGITS, pitch), shared.gates,
                       weights, np.zeros(len(weights), np.int64))
    state.copy()
    group = SUM_BYTES * config.requant_lanes      # a load takes whole ones
    recurrent = stages.between("state:sums", DIGITS * SUM_BYTES * len(weights) + group)
    macs = count
    if stepwise:
        given, bias = _inputs(model, cell, config)
        macs += given.shape[1]
        inputs = StepFactor(stages, "inputs", StepVector(stored.inputs[0], given.shape[1]),
                            shared.gates, given, bias)
        inputs.copy()
        sums = stages.between("inputs:sums", SUM_BYTES * len(weights) + group)
    stages.settle()
    state.multiply(recurrent)
    if stepwise:
        inputs.multiply(sums)
    scratch = stages.between("gates", scratch_bytes(config, shared))
    stages.run_program()

    def program(reads: tuple[int, ...], ofm: int, table: int) -> tuple[bytes, int, int]:
        others, between = reads[:-len(layer.between)], reads[-len(layer.between):]
        own = dict(zip(layer.between, between, strict=True))
        more, computed = others[len(others) - len(shared.more):], iter(others[1:])
        hidden, state = (next(computed) if first else 0 for first in (shared.hidden, shared.cell))
        return cell_program(config, shared, CellPlaces(
            own[sums] if stepwise else reads[0], own[recurrent], table, own[scratch], own[carried],
            pitch, ofm, stepwise, hidden, state, more))

    constants = (states[0] for states in first_states(_call(model, cell), 0, numbers))
    table = cell_table(config, shared, tangent_table(), numbers.biases, numbers.late, *constants)
    layer = stages.finish(lambda reads, ofm, table: program(reads, ofm, table)[0], table,
                          steps * shared.gates * count * macs)
    addresses = len(stored.inputs) + len(shared.more) + len(layer.between)
    _, again, behind = program((0,) * addresses, 0, 0)
    return RecurrentLayer(**vars(layer) | {
        "op": cell.kind, "steps": steps, "again": again, "rows": op.outputs[0], "first": carried,
        "carried": carried, "states": op.outputs[1:], "behind": behind}), stages.tensors


def computed_states(model: Graph, cell: Op) -> tuple[int, ...]:
    """First states that are no constants: of h, and of c."""
    states = cell.inputs[STATES[0]:]
    return tuple(i for i in states if i != -1 and model.tensors[i].data is None)


def _call(model: Graph, cell: Op) -> Call:
    return Call(model, cell, [None if i == -1 else model.tensors[i].data for i in cell.inputs])


def _numbers(model: Graph, cell: Op) -> CellNumbers:
    numbers = cell_numbers(_call(model, cell))
    assert numbers is not None and cell.rule == RULE      # the importer has asked
    return numbers


def _cell(model: Graph, cell: Op, numbers: CellNumbers) -> Cell:
    halves = numbers.hidden, numbers.cell
    first = [None if half is None else FirstState(quantization(model.tensors[i]).zero_point, half)
             for i, half in zip(cell.inputs[STATES[0]:], halves, strict=False)]
    result, *more = (_result(model, op) for op in results_of(cell))
    return Cell(model.tensors[cell.outputs[0]].shape[-1], GATES[cell.kind], numbers.fraction,
                numbers.inputs, numbers.high, numbers.low, numbers.cell_bits, result,
                cell.attributes["result"] == "Y", tuple(more), *first)


def _result(model: Graph, cell: Op) -> Result:
    numbers, bounds = _numbers(model, cell), cell.attributes["bounds"]
    assert isinstance(bounds, tuple)
    return Result(cell.attributes["result"] == "Y_c", *numbers.result,
                  quantization(model.tensors[cell.outputs[0]]).zero_point, *bounds)


def _inputs(model: Graph, cell: Op, config: AcceleratorConfig) -> tuple[Int64, Int64]:
    """W as ``_matrix``, and what its sums have besides for the input's zero point."""
    weights = _matrix(model, cell, config, W)
    zero_point = quantization(model.tensors[cell.inputs[0]]).zero_point
    return weights, -zero_point * weights.sum(axis=1)


def _matrix(model: Graph, cell: Op, config: AcceleratorConfig, position: int) -> Int64:
    """W or R with each gate's rows as far apart as its sums: [gates * pitch, depth]."""
    tensor = model.tensors[cell.inputs[position]]
    data = tensor.data
    assert data is not None
    centered = data[0].astype(np.int64) - quantization(tensor).zero_point
    gates = centered.reshape(GATES[cell.kind], -1, data.shape[-1])
    pad = gate_pitch(config, gates.shape[1], len(gates)) - gates.shape[1]
    return np.asarray(np.pad(gates, ((0, 0), (0, pad), (0, 0)))).reshape(-1, data.shape[-1])
