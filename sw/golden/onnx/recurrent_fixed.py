"""LSTM and GRU of 8 bits in quantised ONNX models, in fixed point: rule ``qdq_fixed_point``.

As for SOFTMAX (``onnx_softmax``), the rule says how the value is computed. S are exact sums of
products of 8 bits, of the input's with W, and of the hidden state's three signed digits, each of 8
bits, with R; F bits are behind the point of what a gate's function is applied to:

    v = Sx·(sx·sw)·2^F + (S2·2^16 + S1·2^8 + S0)·sr·2^(F-22) + b·2^F      three products of 31 bits
    tanh(v) in Q1.30, from a table at steps of 1/16 and tanh(p + d) = tanh p + (1 - tanh² p)·t·w,
        t = tanh d,  w = 1 / (1 + t·tanh p);    1 / (1 + exp(-v)) = (1 + tanh(v / 2)) / 2 in Q0.31
    LSTM  c = f·c + i·g;  h = o·tanh(c)         GRU  h = z·h + (1 - z)·g

h has 30 bits behind the point, and for the products with R 22; c as many as its largest value
leaves. First states of 8 bits have a product of 31 bits, too. Formulas of the gates:
``onnx_recurrent``. Numbers below are int64 arrays within int32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from functools import lru_cache

import numpy as np

from kaniwa.golden.numbers.rounding import (
    INT32_MAX,
    INT32_MIN,
    multiply_by_quantized_multiplier as rescale,
    quantize_multiplier,
    saturating_rounding_doubling_high_mul as multiply,
)
from kaniwa.golden.onnx.qdq import finish_integers
from kaniwa.golden.onnx.recurrent import STATES
from kaniwa.golden.onnx.softmax import RULE
from kaniwa.golden.registry import Call, kernel, quantization
from kaniwa.graph import Op, Quantization

__all__ = ["RULE", "CellNumbers", "CellSteps", "Factor", "cell_numbers", "centered", "digits",
           "first_states", "hyperbolic_tangent", "results_of", "tangent_table"]

STEP_BITS = 4               # of the table's steps, 1/16: what it covers is -8 to 8
CUBIC = 22362015            # in tanh d = d - CUBIC / 2^26 · d³, which fits best for |d| <= 1/32
STATE_BITS, DIGIT_BITS = 30, 22
LEAST_BITS, MOST_BITS = 20, 26      # of F
LEAST_CELL_BITS = 18
MOST_HIDDEN = 1.9           # what three digits hold
Factor = tuple[int, int]    # multiplier in Q31, and the left shift of what it multiplies


@dataclass(frozen=True, eq=False)
class CellNumbers:
    """Constants of one direction as the rule's integers.

    ``fraction``: F. ``inputs``, ``high`` and ``low``: for Sx, S2 and 2^8·S1 + S0. ``biases`` int64
    [gates·H] with F bits, ``late`` int64 [H] that of what the reset gate multiplies (GRU).
    ``cell_bits`` behind the point of c. ``hidden`` and ``cell`` take half of a first state of 8
    bits to those of h and c; None where it is a constant, or 0. ``result``: h, or c for Y_c, in
    steps of the output, multiplier and right shift.
    """

    fraction: int
    inputs: Factor
    high: Factor
    low: Factor
    biases: np.ndarray
    late: np.ndarray
    cell_bits: int
    hidden: Factor | None
    cell: Factor | None
    result: tuple[int, int]


def cell_numbers(call: Call, direction: int = 0) -> CellNumbers | None:
    """The numbers of a direction of LSTM or GRU; None where the rule has none.

    It has them for constant int8 W and R, first states that are constants of -1 to 1 or have 8
    bits, linear_before_reset, and where sums, steps and scales leave enough bits.
    """
    gru = call.op.kind == "GRU"
    reach = [_reach(call, position) for position in STATES[:1 if gru else 2]]
    most = call.tensor(0).shape[0] + (1.0 if gru else reach[-1])      # each step adds 1 at most
    cell_bits = STATE_BITS - math.frexp(min(most, 2.0**40))[1]
    bits = cell_bits if call.attribute("result") == "Y_c" else STATE_BITS
    result = quantize_multiplier(math.ldexp(1 / quantization(call.output).scale, -bits))
    integers = all(call.tensor(i).dtype == "int8" for i in range(3))
    if not integers or not -31 <= result[1] <= -1 or cell_bits < LEAST_CELL_BITS or (
            gru and not call.attribute("linear_before_reset")):
        return None
    w, r = (centered(call, i, direction) for i in (1, 2))
    rows, size = r.shape
    bias = call.optional(3)
    both = np.zeros((2, rows)) if bias is None else (
        bias[direction].astype(np.float64).reshape(2, rows))
    x = call.quantization(0)
    sx, sr = x.scale * call.quantization(1).scale, call.quantization(2).scale
    largest = float((np.abs(w).sum(axis=1) * _largest(x) * sx
                     + np.abs(r).sum(axis=1) * sr * reach[0] + np.abs(both).sum(axis=0)).max())
    fraction = min(STATE_BITS - math.frexp(largest)[1], MOST_BITS)
    if fraction < LEAST_BITS or reach[0] > MOST_HIDDEN or (
            int(np.abs(r).sum(axis=1).max()) * (257 << 7) > INT32_MAX):      # 2^8·S1 + S0
        return None
    added = both.sum(axis=0)
    late = slice(rows - size, rows) if gru else slice(rows, rows)
    added[late] = both[0, late]
    return CellNumbers(
        fraction, _factor(math.ldexp(sx, fraction)),
        _factor(math.ldexp(sr, fraction + 16 - DIGIT_BITS)),
        _factor(math.ldexp(sr, fraction - DIGIT_BITS)), _fixed(added, fraction),
        _fixed(both[1, late], fraction), cell_bits, _state_factor(call, STATES[0], STATE_BITS),
        None if gru else _state_factor(call, STATES[1], cell_bits), (result[0], -result[1]))


def first_states(call: Call, direction: int,
                 numbers: CellNumbers) -> tuple[np.ndarray, np.ndarray]:
    """int64 [B, H]: h in Q1.30, and c with ``cell_bits``; a GRU's c is 0."""
    return (_first_state(call, STATES[0], direction, numbers.hidden, STATE_BITS),
            _first_state(call, STATES[1], direction, numbers.cell, numbers.cell_bits))


def _first_state(call: Call, position: int, direction: int, factor: Factor | None,
                 bits: int) -> np.ndarray:
    value = call.optional(position)
    if value is None:
        _, batch, _ = call.tensor(0).shape
        return np.zeros((batch, call.tensor(2).shape[2]), np.int64)
    if factor is None:
        return _fixed(value[direction].astype(np.float64), bits)
    return 2 * rescale(centered(call, position, direction), *factor)


def _fixed(values: np.ndarray, bits: int) -> np.ndarray:
    """Real numbers with so many bits behind the point."""
    return np.rint(np.ldexp(values, bits)).astype(np.int64)


def _has(call: Call, position: int) -> bool:
    return position < len(call.op.inputs) and call.op.inputs[position] != -1


def _is_bytes(call: Call, position: int) -> bool:
    return _has(call, position) and call.tensor(position).dtype == "int8"


def _reach(call: Call, position: int) -> float:
    """Largest magnitude of a first state, at least 1; infinity where the rule does not take it."""
    if _is_bytes(call, position):
        q = call.quantization(position)
        return max(1.0, _largest(q) * q.scale)
    if not _has(call, position):
        return 1.0
    data = call.tensor(position).data
    return 1.0 if data is not None and np.abs(data).max() <= 1 else math.inf


def _largest(q: Quantization) -> int:
    """Of int8 less its zero point."""
    return max(127 - q.zero_point, 128 + q.zero_point)


def _state_factor(call: Call, position: int, bits: int) -> Factor | None:
    if not _is_bytes(call, position):
        return None
    return _factor(math.ldexp(call.quantization(position).scale, bits - 1))


def centered(call: Call, position: int, direction: int) -> np.ndarray:
    """int64: W, R or a first state of a direction, less its zero point."""
    value = call.value(position)[direction].astype(np.int64)
    return value - call.quantization(position).zero_point


def _factor(real: float) -> Factor:
    """``real`` as a multiplier below 1, of what is shifted to the left for that."""
    shift = max(math.frexp(real)[1], 0)
    return min(round(math.ldexp(real, 31 - shift)), INT32_MAX), shift


@lru_cache(maxsize=1)
def tangent_table() -> np.ndarray:
    """int64 [256]: tanh((i + 1/2) / 16) in Q1.30 for i from -128 to 127, at the place of i's low 8
    bits; -1 and 1 at both ends. Decimals, as they are the same on every machine."""
    context = Context(prec=30)
    table = np.zeros(256, np.int64)
    for i in range(127):
        power = context.exp(Decimal(2 * i + 1) / (1 << STEP_BITS))      # e^2z
        value = context.divide(power - 1, power + 1) * (1 << STATE_BITS)
        table[i] = int(context.to_integral_value(value))
    table[127] = 1 << STATE_BITS
    table[128:] = -table[127::-1]
    table.flags.writeable = False
    return table


def _sum(*terms: np.ndarray | int) -> np.ndarray:
    """Their sum, limited to 32 bits."""
    return np.clip(sum(terms), INT32_MIN, INT32_MAX)


def hyperbolic_tangent(v: np.ndarray, bits: int) -> np.ndarray:
    """tanh of ``v`` with ``bits`` behind the point, up to 28, in Q1.30."""
    z = np.clip(v << (28 - bits), INT32_MIN, INT32_MAX)      # -8 to 8
    place = z >> (28 - STEP_BITS)
    point = tangent_table()[place & 255]
    d = ((z & ((1 << 28 - STEP_BITS) - 1)) - (1 << 27 - STEP_BITS)) << 5      # in Q33
    t = multiply(d, (1 << 30) - multiply(multiply(d, d), CUBIC))              # in Q32
    u = multiply(t, point)                                                    # in Q31
    slope = multiply(t, (1 << 29) - multiply(point, point))
    w = (1 << 30) - multiply(u, 1 << 30)
    for _ in range(3):
        w = (1 << 30) - multiply(u, w)
    return point + 2 * multiply(slope, w)


def _logistic(v: np.ndarray, bits: int) -> np.ndarray:
    """1 / (1 + exp(-v)) in Q0.31; ``bits`` as above, up to 27."""
    return _sum(hyperbolic_tangent(v, bits + 1), 1 << 30)


def digits(hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden states in Q1.30, rounded to 22 bits behind the point: 2^16·a + 2^8·b + c of 8 bits."""
    rounded = (hidden + 128) >> 8
    c = ((rounded + 128) & 255) - 128
    rest = (rounded - c) >> 8
    b = ((rest + 128) & 255) - 128
    return (rest - b) >> 8, b, c


class CellSteps:
    """A direction: from step to step."""

    def __init__(self, call: Call, direction: int, numbers: CellNumbers) -> None:
        self._numbers, self._gru = numbers, call.op.kind == "GRU"
        self._recurrent = centered(call, 2, direction)
        self._size = self._recurrent.shape[1]
        self.hidden, self.state = first_states(call, direction, numbers)
        x = call.value(0).astype(np.int64) - call.quantization(0).zero_point
        sums = x @ centered(call, 1, direction).T
        self._inputs = rescale(sums, *numbers.inputs) + numbers.biases     # [T, B, gates·H]

    def step(self, time: int) -> None:
        """The hidden state behind it."""
        high, middle, low = (part @ self._recurrent.T for part in digits(self.hidden))
        now = self._inputs[time], (rescale(high, *self._numbers.high),
                                   rescale((middle << 8) + low, *self._numbers.low))
        (self._gru_step if self._gru else self._lstm_step)(*now)

    def _lstm_step(self, inputs: np.ndarray, hidden: tuple[np.ndarray, np.ndarray]) -> None:
        bits, n = self._numbers.cell_bits, 3 * self._size
        v = _sum(inputs, *hidden)
        admit, output, forget = np.split(_logistic(v[:, :n], self._numbers.fraction), 3, axis=1)
        new = hyperbolic_tangent(v[:, n:], self._numbers.fraction)
        down = STATE_BITS - bits
        self.state = multiply(self.state, forget) + (
            (multiply(admit, new) + (1 << down - 1)) >> down)
        self.hidden = multiply(output, hyperbolic_tangent(self.state, bits))

    def _gru_step(self, inputs: np.ndarray, hidden: tuple[np.ndarray, np.ndarray]) -> None:
        numbers, n = self._numbers, 2 * self._size
        gates = _logistic(_sum(inputs[:, :n], *(part[:, :n] for part in hidden)), numbers.fraction)
        update, reset = np.split(gates, 2, axis=1)
        last = _sum(numbers.late, *(part[:, n:] for part in hidden))
        new = hyperbolic_tangent(_sum(inputs[:, n:], multiply(last, reset)), numbers.fraction)
        self.hidden = multiply(self.hidden, update) + (new - multiply(new, update))


def results_of(op: Op) -> list[Op]:
    """The operator with each of its results alone: its own, and those of ``more``."""
    given = [(op.attributes["result"], op.attributes["bounds"])]
    more = op.attributes.get("more", ())
    assert isinstance(more, tuple)
    return [replace(op, outputs=(output,), attributes={
        **op.attributes, "result": result, "bounds": bounds, "more": ()})
        for output, (result, bounds) in zip(op.outputs, (*given, *more), strict=True)]


@kernel("LSTM", "GRU", rule=RULE)
def _recurrent(call: Call) -> tuple[np.ndarray, ...]:
    """Results "Y" [T, D, B, H], "Y_h" and "Y_c" [D, B, H]; operands of ``onnx_recurrent``, where W
    and R are int8, and first states may be."""
    directions = [_states(call, number, backwards)
                  for number, backwards in enumerate(call.attribute("backwards"))]
    return tuple(_result(replace(call, op=op), directions) for op in results_of(call.op))


def _states(call: Call, number: int, backwards: bool) -> dict[str, np.ndarray]:
    """Results of a direction by name, before they are in steps of the output."""
    cell, rows = CellSteps(call, number, _numbers(call, number)), []
    times = range(call.tensor(0).shape[0])
    for time in reversed(times) if backwards else times:
        cell.step(time)
        rows.append(cell.hidden)
    every = np.stack(rows[::-1] if backwards else rows)
    return {"Y": every, "Y_h": cell.hidden, "Y_c": cell.state}


def _result(call: Call, directions: list[dict[str, np.ndarray]]) -> np.ndarray:
    name, scaled = call.attribute("result"), []
    for number, states in enumerate(directions):
        multiplier, right = _numbers(call, number).result
        scaled.append((multiply(states[name], multiplier) + (1 << right - 1)) >> right)
    return finish_integers(call, np.stack(scaled, axis=1 if name == "Y" else 0))


def _numbers(call: Call, direction: int) -> CellNumbers:
    numbers = cell_numbers(call, direction)
    if numbers is None:
        raise OverflowError(f"rule {RULE} has no numbers for these weights and quantizations")
    return numbers
