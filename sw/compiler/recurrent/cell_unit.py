"""LSTMs for the cell unit: which fit, the descriptor, and the weights in the order of their use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.accumulators import accumulator_range
from kaniwa.compiler.plan.geometry import Pair
from kaniwa.compiler.plan.layers import UnitProgram
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization, source_of
from kaniwa.compiler.plan.sum_bytes import SUM_BYTES, sum_bytes
from kaniwa.compiler.recurrent.input_sums import cell_unit_sums
from kaniwa.compiler.recurrent.lstm_operands import (
    cells_of,
    constant,
    gates_of,
    lstm_cell,
    steps_of,
)
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError, UnsupportedError
from kaniwa.golden.tflite.recurrent import (
    BIAS,
    GATES as OPERANDS,
    HIDDEN_STATE,
    INPUT_WEIGHTS,
    RECURRENT_WEIGHTS,
)
from kaniwa.graph import Graph, Op
from kaniwa.isa import Opcode
from kaniwa.isa.formats import RECORD_BYTES
from kaniwa.units.cell.isa import (
    FIELDS,
    GATES,
    LEFT_SHIFT,
    MOST_CELLS,
    MOST_INPUTS,
    POWERS,
    PRODUCTS,
    WORD_BYTES,
    encode,
)
from kaniwa.units.cell.timing import sequence_cycles
from kaniwa.units.vector.kernels.recurrent import GATES as SCALED, LstmCell

__all__ = ["CellSequence", "SummedSequence", "cell_layer", "fits_cell_unit", "sums_come_first",
           "whole_words", "why_no_sequence"]

NO_CLIP = 1 << 15
MOST_SHIFT = 31
MOST_STEPS = (1 << 16) - 1
INSTRUCTION = 200      # cycles, about, of the array's beginning and end before a sequence


@dataclass(frozen=True, eq=False)
class CellSequence(UnitProgram):
    """A CELL instruction: ``code`` gives its descriptor, ``table`` are its weights.

    ``states``: hidden state and cell state behind the sequence, whose addresses come behind those
    of ``reads``: input, and both before it. It may write them where those are.
    """

    opcode: ClassVar[Opcode] = Opcode.CELL
    sheds_memory: ClassVar[bool] = True

    states: tuple[int, ...] = field(kw_only=True)

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that it writes."""
        return (self.ofm, *self.states)

    @property
    def following_states(self) -> tuple[Pair, ...]:
        """States before and behind the sequence: the unit has read them by then."""
        return tuple(zip(self.reads[1:], self.states, strict=False))


class SummedSequence(CellSequence):
    """A sequence whose input is sums, which the array has made of the inputs of all steps."""

    time_multiplexes: ClassVar[bool] = True


def whole_words(depth: int) -> int:
    """Elements of a row of ``depth`` inputs, which begins where the next one does."""
    return -(-depth // PRODUCTS) * PRODUCTS


def fits_cell_unit(model: Graph, op: Op, config: AcceleratorConfig) -> bool:
    """True where the unit of ``config`` holds the cell; else the vector unit may."""
    if not config.cell_unit:
        return False
    try:
        cell = lstm_cell(model, op, config, op.name)
    except (CompileError, UnsupportedError):
        return False
    return why_no_sequence(model, op, cell) is None


def why_no_sequence(model: Graph, op: Op, cell: LstmCell) -> str | None:
    """What of a cell the unit has not, or None."""
    shifts = [-shift for _, shift in (*cell.inputs, *cell.recurrent, cell.hidden.scaling)]
    depth, steps = model.tensors[op.inputs[0]].shape[-1], steps_of(model, op)
    return next((problem for problem, wrong in (
        ("a coupled input gate", len(gates_of(op)) != len(GATES)),
        ("peepholes", bool(cell.peepholes)), ("a projection", bool(cell.projected)),
        (f"more than {MOST_CELLS} cells", cell.count > MOST_CELLS),
        (f"more than {MOST_INPUTS} inputs", depth > MOST_INPUTS),
        (f"more than {MOST_STEPS} steps", steps > MOST_STEPS),
        (f"a cell state of scale 2^{cell.power}",
         not POWERS[0] <= _admit_shift(cell) <= POWERS[1]),
        ("such a rescaling", min(shifts) < -LEFT_SHIFT or max(shifts) > MOST_SHIFT)) if wrong),
        None)


def sums_come_first(model: Graph, op: Op, config: AcceleratorConfig) -> bool:
    """True where the array has the sums with the inputs of all steps sooner than the unit reads
    the input's weights again in each step.

    The array makes each of a sum's four bytes, ``spread`` of them of one product, and reads its
    weights once. Of the unit's steps the third is taken for all.
    """
    weights, bias = cell_unit_sums(model, op)
    try:
        accumulator_range(np.repeat(weights, SUM_BYTES, axis=0), sum_bytes(bias)[0], op.name)
    except CompileError:
        return False
    steps, count, depth = steps_of(model, op), cells_of(model, op), weights.shape[1]
    channels, chunks = SUM_BYTES * len(weights), -(-depth // config.dot_width)
    words = chunks * -(-channels // (config.spread * config.out_lanes))
    stream = words * config.tile_bytes + channels * RECORD_BYTES
    on_array = INSTRUCTION + max(steps * words, stream // config.read_bytes,
                                 steps * channels // config.requant_lanes)

    def step(input_words: int) -> int:
        """Cycles of a step in the middle of a sequence."""
        two, three = (sequence_cycles(dict.fromkeys(FIELDS, 0) | {
            "cells": count, "steps": some, "input_words": input_words,
            "input_pitch": PRODUCTS * input_words}, config.memory_latency) for some in (2, 3))
        return three - two

    return steps * (step(whole_words(depth) // PRODUCTS) - step(0)) > on_array


def _admit_shift(cell: LstmCell) -> int:
    return 30 + cell.power


def cell_layer(lowering: Lowering) -> Lowered:
    """The sequence of a cell, whose input has rows of ``whole_words``, or is sums."""
    model, cell, op = lowering.model, lowering.origin, lowering.op
    shared = lstm_cell(model, cell, lowering.config, lowering.where)
    steps = steps_of(model, cell)
    x, h = (quantization(model.tensors[cell.inputs[i]]) for i in (0, HIDDEN_STATE))
    depth, count = model.tensors[cell.inputs[0]].shape[-1], shared.count
    of_sums = bool(op.attributes.get("of_sums"))
    rows = count * WORD_BYTES if of_sums else whole_words(depth)
    values = {
        "cells": count, "steps": steps, "input_words": 0 if of_sums else rows // PRODUCTS,
        "input_pitch": rows,
        "output_pitch": count, "input_zero": x.zero_point, "hidden_zero": h.zero_point,
        "output_zero": shared.hidden.zero_point, "admit_shift": _admit_shift(shared),
        "clip": shared.clip or NO_CLIP}
    for what, scalings in (("input", shared.inputs), ("hidden", shared.recurrent)):
        for gate in GATES:
            multiplier, shift = scalings[SCALED.index(gate)]
            values |= {f"multiplier_{what}_{gate}": multiplier, f"shift_{what}_{gate}": -shift}
    multiplier, shift = shared.hidden.scaling
    values |= {"multiplier_output": multiplier, "shift_output": -shift}

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        inputs, hidden, state, last_hidden, last_state = reads
        return encode(values | {
            "weight_address": table, "input_address": inputs, "output_address": ofm,
            "first_hidden": hidden, "first_cell": state, "last_hidden": last_hidden,
            "last_cell": last_state})

    made, factors = (SummedSequence, count) if of_sums else (CellSequence, depth + count)
    return made(op.name, cell.kind, lowering.stored.inputs, op.outputs[0], code,
                _weights(model, cell, of_sums), source_of(op),
                macs=steps * count * len(GATES) * factors, states=op.outputs[1:]), []


def _weights(model: Graph, cell: Op, of_sums: bool) -> bytes:
    """Words of all cells: biases and weights of the input, where that is no sums, then weights of
    the hidden state."""
    order = [OPERANDS.index(gate) for gate in GATES]

    def words(first: int) -> npt.NDArray[np.int8]:
        matrix = np.stack([constant(model, cell, first + gate) for gate in order])
        pad = whole_words(matrix.shape[-1]) - matrix.shape[-1]
        split = np.pad(matrix, ((0, 0), (0, 0), (0, pad))).reshape(
            len(order), cells_of(model, cell), -1, PRODUCTS)
        return split.transpose(1, 2, 0, 3).reshape(cells_of(model, cell), -1).astype(np.int8)

    if of_sums:
        return words(RECURRENT_WEIGHTS).tobytes()
    bias = np.stack([constant(model, cell, BIAS + gate) for gate in order], axis=1)
    return np.concatenate([np.ascontiguousarray(bias.astype("<i4")).view(np.int8),
                           words(INPUT_WEIGHTS)], axis=1).tobytes() + words(
                               RECURRENT_WEIGHTS).tobytes()
