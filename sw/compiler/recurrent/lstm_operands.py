"""Operands of an UNIDIRECTIONAL_SEQUENCE_LSTM for the accelerator: weights and scales."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.accumulators import accumulator_range
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import Int64, quantize_multiplier
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import UnsupportedError
from kaniwa.golden.tflite.recurrent import (
    BIAS,
    CELL_STATE,
    GATES,
    HIDDEN_STATE,
    INPUT_WEIGHTS,
    PEEPHOLES,
    PROJECTION,
    RECURRENT_WEIGHTS,
)
from kaniwa.graph import Graph, Op
from kaniwa.units.vector.kernels import recurrent as kernels_recurrent
from kaniwa.units.vector.kernels.elementary import Rescaling, Scaling
from kaniwa.units.vector.kernels.recurrent import LstmCell, gate_pitch

__all__ = ["cells_of", "constant", "gates_of", "has_projection", "lstm_cell", "optional",
           "scale_of", "steps_of", "sums_of"]

INT32_MAX = (1 << 31) - 1
LARGEST_STATE = 1 << 15


def steps_of(model: Graph, cell: Op) -> int:
    """Steps of the cell's input, [batch, steps, depth] or [steps, batch, depth], of batch 1."""
    return math.prod(model.tensors[cell.inputs[0]].shape[:2])


def cells_of(model: Graph, cell: Op) -> int:
    """Elements of the cell state."""
    return model.tensors[cell.inputs[CELL_STATE]].shape[-1]


def gates_of(cell: Op) -> list[int]:
    """The numbers of the cell's gates in its operands, in the vector unit's order."""
    return [GATES.index(name) for name in kernels_recurrent.GATES
            if cell.inputs[INPUT_WEIGHTS + GATES.index(name)] != -1]


def has_projection(cell: Op) -> bool:
    """True where the hidden state is a projection."""
    return cell.inputs[PROJECTION] != -1


def optional(model: Graph, cell: Op, position: int) -> npt.NDArray[np.integer] | None:
    """The value of a constant operand, or None if it is absent."""
    return None if cell.inputs[position] == -1 else constant(model, cell, position)


def constant(model: Graph, cell: Op, position: int) -> npt.NDArray[np.integer]:
    """The value of a constant operand."""
    data = model.tensors[cell.inputs[position]].data
    assert data is not None
    return data


def scale_of(model: Graph, cell: Op, position: int) -> np.float32:
    """The scale of an operand, as LiteRT computes with it."""
    return np.float32(quantization(model.tensors[cell.inputs[position]]).scale)


def sums_of(model: Graph, cell: Op, config: AcceleratorConfig, first: int, operand: int,
            bias_at: int | None = None) -> tuple[Int64, Int64]:
    """The weights of all gates from operand ``first`` on, [gates * pitch, depth], and what their
    sums of products with ``operand`` have besides."""
    gates = gates_of(cell)
    matrices = [constant(model, cell, first + gate) for gate in gates]
    pad = gate_pitch(config, len(matrices[0]), len(gates)) - len(matrices[0])
    weights = np.concatenate([np.pad(matrix, ((0, pad), (0, 0))) for matrix in matrices]).astype(
        np.int64)
    zero_point = quantization(model.tensors[cell.inputs[operand]]).zero_point
    bias = -zero_point * weights.sum(axis=1)
    if bias_at is not None:
        bias += np.concatenate([np.pad(constant(model, cell, bias_at + gate), (0, pad))
                                for gate in gates])
    return weights, bias


def lstm_cell(model: Graph, cell: Op, config: AcceleratorConfig, where: str) -> LstmCell:
    """Scales as LiteRT computes them, in float32.

    Raises CompileError for sums that may leave int32, UnsupportedError for those that may when they
    are rescaled.
    """
    gates = gates_of(cell)
    gate_scales, hidden = cell.attributes["gate_scales"], cell.attributes["hidden"]
    assert isinstance(gate_scales, tuple) and isinstance(hidden, tuple)

    def scalings(first: int, operand: int, bias_at: int | None) -> list[Scaling]:
        low, high = accumulator_range(*sums_of(model, cell, config, first, operand, bias_at), where)
        reach = np.maximum(np.abs(low), np.abs(high)).reshape(len(gates), -1).max(axis=1)
        return [_scaling(scale_of(model, cell, first + gate) * scale_of(model, cell, operand)
                         / np.float32(gate_scales[gate]), int(most), where)
                for gate, most in zip(gates, reach, strict=True)]

    power = math.frexp(quantization(model.tensors[cell.inputs[CELL_STATE]]).scale)[1] - 1
    peepholes = []
    for name in kernels_recurrent.GATES:
        values = optional(model, cell, PEEPHOLES[name]) if name in PEEPHOLES else None
        if values is not None:
            scale = quantization(model.tensors[cell.inputs[PEEPHOLES[name]]]).scale
            real = np.float32(2.0**power * scale / gate_scales[GATES.index(name)])
            most = int(np.abs(values.astype(np.int64)).max()) * LARGEST_STATE
            peepholes.append((values.tolist(), _scaling(real, most, where)))
    clip = float(str(cell.attributes["cell_clip"]))
    bound = min(int(np.float32(clip) / np.float32(2.0**power)), 32767) if clip > 0 else 0
    real = np.float32(2.0**-15 / float(np.float32(hidden[0])) * 2.0**-15)
    projected = has_projection(cell)
    zero_point = -hidden[1] if projected else hidden[1]      # LiteRT's, of what is projected
    return LstmCell(
        cells_of(model, cell), scalings(INPUT_WEIGHTS, 0, BIAS),
        scalings(RECURRENT_WEIGHTS, HIDDEN_STATE, None), power,
        Rescaling(quantize_multiplier(float(real)), zero_point), bound,
        model.tensors[cell.outputs[0]].shape[-1] if projected else 0, peepholes)


def _scaling(real: np.floating, reach: int, where: str) -> Scaling:
    """Multiplier and left shift of ``real``, which must not take sums up to ``reach`` beyond 32
    bits, where LiteRT's result is not defined."""
    multiplier, shift = quantize_multiplier(float(real))
    if reach << max(shift, 0) > INT32_MAX:
        raise UnsupportedError(f"{where}: a gate's sum may reach {reach} in magnitude, and its "
                               f"rescaling by {float(real):g} takes that beyond 32 bits; reduce "
                               f"its weights or their scale")
    return multiplier, shift
