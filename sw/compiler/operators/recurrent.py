"""Recurrent cells on the accelerator."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.array.moves import Move
from kaniwa.compiler.operators.limits import not_int8
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.plan.sum_bytes import SUM_BYTES
from kaniwa.compiler.recurrent.cell_unit import fits_cell_unit, sums_come_first, whole_words
from kaniwa.compiler.recurrent.lstm_operands import cells_of, gates_of, steps_of
from kaniwa.compiler.recurrent.onnx_cells import computed_states, sums_of_step
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, UNIT, Rewriter
from kaniwa.golden.onnx.recurrent import STATES
from kaniwa.golden.onnx.recurrent_fixed import RULE as FIXED_POINT
from kaniwa.golden.tflite.recurrent import (
    BIAS,
    CELL_STATE,
    GATES,
    HIDDEN_STATE,
    INPUT_WEIGHTS,
    NORMALIZATION,
    PEEPHOLES,
    PROJECTION,
    PROJECTION_BIAS,
    RECURRENT_WEIGHTS,
)
from kaniwa.graph import Graph, Op
from kaniwa.units.vector.kernels.elementary import row_pitch
from kaniwa.units.vector.kernels.recurrent import gate_pitch

__all__ = ["OPERATORS", "int8_cell", "plain_cell"]


def int8_cell(graph: Graph, op: Op) -> str | None:
    """Input, hidden state and output are int8, the cell state int16; constant weights and biases.
    """
    weights, biases, peepholes = (
        [i for position in positions if (i := op.inputs[position]) != -1] for positions in (
            (*range(INPUT_WEIGHTS, RECURRENT_WEIGHTS + len(GATES)), PROJECTION),
            (*range(BIAS, BIAS + len(GATES)), PROJECTION_BIAS), PEEPHOLES.values()))
    for ids, dtype in (((op.inputs[0], op.inputs[HIDDEN_STATE], op.outputs[0]), "int8"),
                       ((op.inputs[CELL_STATE],), "int16"), (weights, "int8"),
                       (biases, "int32"), (peepholes, "int16")):
        for i in ids:
            tensor = graph.tensors[i]
            if tensor.dtype != dtype:
                return not_int8(graph, op, tensor)
    computed = next((i for i in (*weights, *biases, *peepholes)
                     if graph.tensors[i].data is None), None)
    return None if computed is None else (
        f"'{graph.tensors[computed].name}' is computed; make it constant")


def plain_cell(graph: Graph, op: Op) -> str | None:
    """The cell has no layer normalisation."""
    normalized = any(op.inputs[NORMALIZATION + gate] != -1 for gate in range(len(GATES)))
    return "it has layer normalisation; export it without" if normalized else None


def own_sequences(graph: Graph, op: Op) -> str | None:
    """Sequences of a batch come one after the other, have a step, and states that only they use."""
    shape = graph.tensors[op.inputs[0]].shape
    batch = shape[1 if op.attributes["time_major"] else 0]
    if batch > 1:      # ``sequences_apart`` has left it alone
        return (f"it runs {batch} sequences at once, whose states are used elsewhere; export it "
                f"with a batch of 1")
    return None if prod(shape) else "its input has no elements; fix the model's shapes"


def short_gates(graph: Graph, op: Op) -> str | None:
    """With a vector unit of R lanes: at most 32 R cells, and 32 R outputs."""
    return None      # what R is, ``lower`` knows


def short_cells(graph: Graph, op: Op) -> str | None:
    """With a vector unit of R lanes: at most 32 R cells, and 32 R outputs; with a cell unit, of a
    cell without peepholes, projection and coupled gates: 1,024 cells."""
    return None      # what R is, ``lower`` knows


def known_cell(graph: Graph, op: Op) -> str | None:
    """It is of rule qdq_fixed_point: of 8 bits, with W and R quantised by tensor."""
    if op.rule == FIXED_POINT:
        return None
    parts = dict(zip(("its input", "W", "R"), op.inputs, strict=False))
    states = op.inputs[STATES[0]:]
    parts |= {name: i for name, i in zip(("initial_h", "initial_c"), states, strict=False)
              if i != -1 and graph.tensors[i].data is None}
    for what, i in {**parts, "its result": op.outputs[0]}.items():
        if graph.tensors[i].dtype == "float32":
            return (f"{what} is float32; quantize it by tensor (ONNX Runtime's quantize_static "
                    f"does if op_types_to_quantize names {op.kind})")
    if op.kind == "GRU" and not op.attributes["linear_before_reset"]:
        return "it is without linear_before_reset; export it with that"
    return (f"rule {FIXED_POINT} has no numbers for it: its first states, steps or scales are too "
            f"large")


def _lstm(rewriter: Rewriter, op: Op) -> None:
    if fits_cell_unit(rewriter.graph, op, rewriter.config):
        _sequence(rewriter, op)
        return
    gates = len(gates_of(op))
    pitch = gate_pitch(rewriter.config, cells_of(rewriter.graph, op), gates)
    _steps(rewriter, op, gates * pitch, (op.inputs[HIDDEN_STATE], op.inputs[CELL_STATE]))


def _sequence(rewriter: Rewriter, op: Op) -> None:
    """All steps on the cell unit, of inputs in rows of whole words, or of sums where those come
    sooner and have room."""
    inputs, states = op.inputs[0], (op.inputs[HIDDEN_STATE], op.inputs[CELL_STATE])
    x, steps = rewriter.tensors[inputs], steps_of(rewriter.graph, op)
    if (op.attributes.get("position") not in rewriter.time_multiplexed
            and sums_come_first(rewriter.graph, op, rewriter.config)):
        gates = cells_of(rewriter.graph, op) * len(GATES)
        sums = rewriter.tensor(f"{op.name}:sums", (1, 1, steps, SUM_BYTES * gates))
        rewriter.emit(op, "SEQUENCE_SUMS", op.inputs[:1], {**op.attributes, "taps": 0}, sums)
        rewriter.emit(op, "SEQUENCE", (sums, *states), {
            **op.attributes, "taps": 0, "of_sums": True})
        return
    depth = x.shape[-1]
    pitch = whole_words(depth)
    if depth != pitch:      # what is between rows meets weights of 0
        inputs = rewriter.tensor(f"{x.name}:rows", (1, 1, steps, pitch), x)
        move = Move(1, steps, depth, (0, 0, depth), (0, 0, pitch))
        rewriter.emit(op, "COPY", (x.id,), {**op.attributes, "taps": 0, "moves": (move,)}, inputs)
    rewriter.emit(op, "SEQUENCE", (inputs, *states), {**op.attributes, "taps": 0})


def _onnx_cell(rewriter: Rewriter, op: Op) -> None:
    graph = rewriter.graph
    _steps(rewriter, op, sums_of_step(graph, op, rewriter.config), computed_states(graph, op))


def _steps(rewriter: Rewriter, op: Op, sums: int, states: tuple[int, ...] = ()) -> None:
    """The products of the inputs of all steps at once, so many sums of each, if they are not
    part of each, then the steps, with rows of whole groups."""
    y, inputs = rewriter.tensors[op.outputs[0]], op.inputs[0]
    count = y.shape[-1]
    if op.attributes.get("position") not in rewriter.time_multiplexed:
        inputs = rewriter.tensor(f"{op.name}:sums",
                                 (1, 1, steps_of(rewriter.graph, op), SUM_BYTES * sums))
        rewriter.emit(op, "SUMS", op.inputs[:1], {**op.attributes, "taps": 0}, inputs)
    pitch = row_pitch(rewriter.config, count)
    rows = y.id if pitch == count else rewriter.tensor(
        f"{y.name}:rows", (1, 1, prod(y.shape[:-1]), pitch), y)
    rewriter.emit(replace(op, outputs=(rows, *op.outputs[1:])), "LSTM", (inputs, *states),
                  {**op.attributes, "taps": 0})
    if rows != y.id:
        rewriter.renamed(op, _copied(rewriter, op, rows, count), y)


def _copied(rewriter: Rewriter, op: Op, source: int, columns: int) -> int:
    """A convolution that copies rows to rows of ``columns``: cut off, or with zeros behind."""
    x = rewriter.tensors[source]
    rows, length = prod(x.shape[:-1]), x.shape[-1]
    eye = np.eye(columns, length, dtype=np.int8).reshape(columns, 1, 1, length)
    weights = rewriter.tensor(f"{x.name}:eye", eye.shape, None, eye, UNIT)
    made = rewriter.tensor(f"{x.name}:{columns}", (1, 1, rows, columns), x)
    rewriter.emit(op, "CONV_2D", (rewriter.reshaped(op, source, (1, 1, rows, length)), weights), {
        **op.attributes, "activation": "NONE", "stride": (1, 1), "dilation": (1, 1),
        "padding": NO_PADDING, "taps": 0}, made, "litert_double_rounding")
    return made


OPERATORS = (
    DeviceOperator("UNIDIRECTIONAL_SEQUENCE_LSTM",
                   (int8_cell, plain_cell, own_sequences, short_cells), _lstm),
    DeviceOperator("LSTM", (known_cell, short_gates), _onnx_cell, onnx=True),
    DeviceOperator("GRU", (known_cell, short_gates), _onnx_cell, onnx=True),
)
