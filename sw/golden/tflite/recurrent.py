"""UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF as LiteRT defines them.

The LSTM has int8 activations and weights and an int16 cell state. Sources:
``unidirectional_sequence_lstm.cc`` (scales), ``lstm_eval.cc`` (steps, 8x8_16) and
``portable_tensor_utils.cc`` of LiteRT. A step takes x [B, I] and the states h [B, O] and c [B, N]:

    gate = activation(W·x + R·h + P·c), i and f and o by logistic, g by tanh, in Q3.12 → Q0.15
    c = f·c + i·g;  h = o · tanh(c), or its projection

SVDF has int8 activations and feature weights, int16 time weights and state. Sources: ``svdf.cc``
and ``reference/svdf.h``. Each of F = U · R filters makes one number of an input vector, remembers
the last M of them, and weights these; R filters add up to a unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaniwa.golden.numbers.fixedpoint import inverse_square_root
from kaniwa.golden.numbers.fixedpoint16 import logistic, saturate, tanh
from kaniwa.golden.numbers.rounding import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from kaniwa.golden.registry import (
    Call,
    kernel,
    quantization,
    rescale_within_int32,
    within_int32,
)

__all__ = ["Scaled", "Gate", "Cell", "Filters", "lstm", "svdf", "GATES", "INPUT_WEIGHTS",
           "RECURRENT_WEIGHTS", "BIAS", "PEEPHOLES", "PROJECTION", "PROJECTION_BIAS",
           "HIDDEN_STATE", "CELL_STATE", "NORMALIZATION"]

GATES = ("input", "forget", "cell", "output")
# Positions of the operands; weights and biases have one for each gate, in this order.
INPUT_WEIGHTS, RECURRENT_WEIGHTS, BIAS = 1, 5, 12
PEEPHOLES = {"input": 9, "forget": 10, "output": 11}
PROJECTION, PROJECTION_BIAS = 16, 17
HIDDEN_STATE, CELL_STATE, NORMALIZATION = 18, 19, 20
GATE_SCALE = 2.0**-12


@dataclass(frozen=True, eq=False)
class Scaled:
    """An int8 or int16 array with zero point 0 and its float32 scale."""

    values: np.ndarray
    scale: float


@dataclass(frozen=True, eq=False)
class Gate:
    """Weights of one gate: of x [N, I] and h [N, O], of c [N] if it has a peephole, bias [N].

    With ``norm`` [N] the sum, in steps of ``scale``, is normalised before the bias is added.
    """

    inputs: Scaled
    recurrent: Scaled
    bias: np.ndarray
    peephole: Scaled | None = None
    norm: Scaled | None = None
    scale: float = GATE_SCALE


@dataclass(frozen=True, eq=False)
class Cell:
    """An LSTM's numbers, the same for all steps; scales are float32 values.

    ``gates`` has no "input" where the input gate is 1 - forget gate. ``hidden`` (scale, zero
    point) is of o · tanh(c); with ``projection`` weights [O, N] and bias [O] follow. Clips of 0
    do nothing.
    """

    gates: Mapping[str, Gate]
    input: tuple[float, int]
    output_state: tuple[float, int]
    cell_power: int
    hidden: tuple[float, int]
    cell_clip: float = 0.0
    projection: tuple[Scaled, np.ndarray | None] | None = None
    projection_clip: float = 0.0
    output_scale: float = 1.0


def lstm(
    cell: Cell, x: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int8 x [T, B, I], h [B, O] and int16 c [B, N] to int8 y [T, B, O] and the last h and c.

    Raises ``OverflowError`` where a sum leaves int32.
    """
    h, c = h.astype(np.int64), c.astype(np.int64)
    outputs = []
    for step in x.astype(np.int64):
        h, c = _step(cell, step, h, c)
        outputs.append(h)
    return np.stack(outputs).astype(np.int8), h.astype(np.int8), c.astype(np.int16)


def _step(
    cell: Cell, x: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    forget = logistic(_gate(cell, "forget", x, h, c))
    update = tanh(_gate(cell, "cell", x, h, c), 3)
    if "input" in cell.gates:
        admitted = logistic(_gate(cell, "input", x, h, c))
    else:
        admitted = 32767 - forget
    c = saturate(
        rounding_divide_by_pot(forget * c, 15)
        + rounding_divide_by_pot(admitted * update, 30 + cell.cell_power)
    )
    if cell.cell_clip > 0:
        bound = min(int(np.float32(cell.cell_clip) / np.float32(2.0**cell.cell_power)), 32767)
        c = np.clip(c, -bound, bound)
    output = logistic(_gate(cell, "output", x, h, c))
    return _output(cell, output * tanh(c, 15 + cell.cell_power)), c


def _gate(cell: Cell, name: str, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The gate's argument in Q3.12, clamped to 16 bits after each of its terms."""
    gate = cell.gates[name]
    total = np.zeros_like(c)
    first = gate.bias if gate.norm is None else 0
    for value, (scale, zero), weights, bias in (
        (x, cell.input, gate.inputs, first),
        (h, cell.output_state, gate.recurrent, 0),
    ):
        real = np.float32(weights.scale) * np.float32(scale) / np.float32(gate.scale)
        acc = within_int32((value - zero) @ weights.values.astype(np.int64).T + bias)
        total = saturate(total + rescale_within_int32(acc, real))
    if gate.peephole is not None:
        real = np.float32(2.0**cell.cell_power * gate.peephole.scale / gate.scale)
        products = gate.peephole.values.astype(np.int64) * c
        total = saturate(total + rescale_within_int32(products, real))
    return total if gate.norm is None else _normalized(total, gate.norm, gate.bias)


def _normalized(gate: np.ndarray, norm: Scaled, bias: np.ndarray) -> np.ndarray:
    """``gate`` [B, N] less its mean over its deviation, with 10 more bits, by ``norm`` to Q3.12."""
    count = gate.shape[-1]
    total = gate.sum(axis=-1, keepdims=True) * 1024
    mean = np.sign(total) * (np.abs(total) // count)
    squares = (gate * gate).sum(axis=-1, keepdims=True)
    variance = squares * ((1 << 20) // count) - mean * mean
    guard = max(1, int(np.float32(10000) * np.float32(norm.scale)))
    whole = np.sign(variance) * (np.abs(variance) >> 20)
    multiplier, shift = inverse_square_root(np.where(whole < 1, guard, whole))
    deviations = multiply_by_quantized_multiplier(1024 * gate - mean, multiplier, shift)
    weighted = within_int32(deviations * norm.values.astype(np.int64)) + bias
    rounded = np.sign(weighted) * ((np.abs(weighted) + 512) >> 10)
    factor, power = quantize_multiplier(float(np.float32(norm.scale)))
    within_int32(rounded << max(power + 12, 0))
    return saturate(multiply_by_quantized_multiplier(rounded, factor, power + 12))


def _output(cell: Cell, product: np.ndarray) -> np.ndarray:
    """The new h for o · tanh(c) in Q0.30."""
    scale, zero = cell.hidden
    if cell.projection is not None:
        zero = -zero  # LiteRT quantises what is projected with the zero point's opposite
    real = np.float32(2.0**-15 / float(np.float32(scale)) * 2.0**-15)
    hidden = rescale_within_int32(product, real)
    hidden = np.clip(hidden + zero, -128, 127)
    if cell.projection is None:
        return hidden
    weights, bias = cell.projection
    real = np.float32(weights.scale) * np.float32(scale) / np.float32(cell.output_state[0])
    acc = (hidden - zero) @ weights.values.astype(np.int64).T + (0 if bias is None else bias)
    h = np.clip(rescale_within_int32(within_int32(acc), real) + cell.output_state[1], -128, 127)
    if cell.projection_clip > 0:
        ratio = np.float32(cell.projection_clip) / np.float32(cell.output_scale)
        bound = min(int(ratio), 127)
        h = np.clip(h, -bound, bound)
    return h




def _scaled(call: Call, position: int) -> Scaled | None:
    value = call.optional(position)
    return None if value is None else Scaled(value, call.quantization(position).scale)


def _present(call: Call, position: int) -> Scaled:
    return Scaled(call.value(position), call.quantization(position).scale)


def _cell(call: Call) -> Cell:
    gates = {
        name: Gate(
            _present(call, INPUT_WEIGHTS + number),
            _present(call, RECURRENT_WEIGHTS + number),
            call.value(BIAS + number),
            _scaled(call, PEEPHOLES[name]) if name in PEEPHOLES else None,
            _scaled(call, NORMALIZATION + number),
            call.attribute("gate_scales")[number],
        )
        for number, name in enumerate(GATES)
        if call.optional(INPUT_WEIGHTS + number) is not None
    }
    x, h = call.quantization(0), call.quantization(HIDDEN_STATE)
    weights = _scaled(call, PROJECTION)
    return Cell(
        gates,
        (x.scale, x.zero_point),
        (h.scale, h.zero_point),
        math.frexp(call.quantization(CELL_STATE).scale)[1] - 1,
        call.attribute("hidden"),
        call.attribute("cell_clip"),
        None if weights is None else (weights, call.optional(PROJECTION_BIAS)),
        call.attribute("projection_clip"),
        quantization(call.output).scale,
    )


@kernel("UNIDIRECTIONAL_SEQUENCE_LSTM")
def _lstm(call: Call) -> tuple[np.ndarray, ...]:
    x, by_time = call.value(0), bool(call.attribute("time_major"))
    steps = x if by_time else x.transpose(1, 0, 2)
    y, h, c = lstm(_cell(call), steps, call.value(HIDDEN_STATE), call.value(CELL_STATE))
    return (y if by_time else y.transpose(1, 0, 2)), h, c


@dataclass(frozen=True, eq=False)
class Filters:
    """int8 ``features`` [F, I], int16 ``times`` [F, M], int32 ``bias`` [U] or None.

    ``scales`` are those of the input, features, state, times and output, as float32 values;
    ``zero_points`` of the input and the output.
    """

    features: np.ndarray
    times: np.ndarray
    bias: np.ndarray | None
    rank: int
    scales: tuple[float, float, float, float, float]
    zero_points: tuple[int, int]


def svdf(filters: Filters, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 x [B, I] and int16 state [B, F · M] to int8 [B, U] and the next state.

    Raises ``OverflowError`` where a sum leaves int32.
    """
    s_in, s_feature, s_state, s_time, s_out = (np.float32(s) for s in filters.scales)
    batches, (count, memory) = len(x), filters.times.shape
    acc = (x.astype(np.int64) - filters.zero_points[0]) @ filters.features.astype(np.int64).T
    newest = rescale_within_int32(within_int32(acc), s_in * s_feature / s_state)
    newest = np.clip(newest, -32768, 32767)
    kept = state.astype(np.int64).reshape(batches, count, memory)[:, :, 1:]
    following = np.concatenate([kept, newest[:, :, None]], axis=2)
    weighted = (following * filters.times.astype(np.int64)).sum(axis=2)
    total = within_int32(weighted).reshape(batches, -1, filters.rank).sum(axis=2)
    if filters.bias is not None:
        total = total + filters.bias
    result = rescale_within_int32(within_int32(total), s_state * s_time / s_out)
    return (
        np.clip(result + filters.zero_points[1], -128, 127).astype(np.int8),
        following.reshape(state.shape).astype(np.int16),
    )


@kernel("SVDF")
def _svdf(call: Call) -> tuple[np.ndarray, ...]:
    x, features, times, state = (call.quantization(i) for i in (0, 1, 2, 4))
    out = quantization(call.output)
    filters = Filters(
        call.value(1),
        call.value(2),
        call.optional(3),
        call.attribute("rank"),
        (x.scale, features.scale, state.scale, times.scale, out.scale),
        (x.zero_point, out.zero_point),
    )
    return svdf(filters, call.value(0), call.value(4))
