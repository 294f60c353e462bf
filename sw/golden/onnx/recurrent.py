"""LSTM and GRU as the ONNX operator specification defines them, in float64: rule ``qdq``.

Source: LSTM and GRU (opset 7 to 22) in the ONNX operator specification, ``docs/Operators.md``, with
the default activations, without peepholes, clip and layout 1. For one step x [B, I] with the states
h [B, H] and c [B, H], σ the logistic function:

    LSTM  i, o, f = σ(x·W + h·R + b);  g = tanh(x·W + h·R + b);  c = f·c + i·g;  h = o · tanh(c)
    GRU   z, r = σ(x·W + h·R + b);  h = (1 - z)·g + z·h, where
          g = tanh(x·W + (r·h)·R + bR + bW), with linear_before_reset tanh(x·W + r·(h·R + bR) + bW)
    RNN   h = f(x·W + h·R + b), where f is tanh, σ or relu

Real numbers go through the whole sequence; only the result is rounded, once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kaniwa.golden.onnx.qdq import real_operand, register_real
from kaniwa.golden.registry import Call, quantization

__all__ = ["GATES", "STATES"]

GATES = {"LSTM": 4, "GRU": 3}      # in W, R and each half of B: i, o, f, g and z, r, g
STATES = (4, 5)                    # positions of the first h and c; a GRU has none of c
States = tuple[np.ndarray, ...]
Cell = Callable[[np.ndarray, States], States]


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


PLAIN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh, "sigmoid": _logistic, "relu": lambda x: np.maximum(x, 0)}


def _lstm(recurrent: np.ndarray, bias: np.ndarray) -> Cell:
    """A step from the gates' x·W + bW [B, 4·H] and (h, c) to the next (h, c)."""

    def step(gates: np.ndarray, states: States) -> States:
        hidden, cell = states
        i, o, f, g = np.split(gates + hidden @ recurrent.T + bias, 4, axis=1)
        cell = _logistic(f) * cell + _logistic(i) * np.tanh(g)
        return _logistic(o) * np.tanh(cell), cell

    return step


def _gru(recurrent: np.ndarray, bias: np.ndarray, reset_last: bool) -> Cell:
    """A step from the gates' x·W + bW [B, 3·H] and (h,) to the next (h,)."""
    size = recurrent.shape[1]

    def step(gates: np.ndarray, states: States) -> States:
        hidden, = states
        zr = _logistic(gates[:, :2 * size] + hidden @ recurrent[:2 * size].T + bias[:2 * size])
        z, r = np.split(zr, 2, axis=1)
        last, last_bias = recurrent[2 * size:], bias[2 * size:]
        inner = (r * (hidden @ last.T + last_bias) if reset_last
                 else (r * hidden) @ last.T + last_bias)
        return (1 - z) * np.tanh(gates[:, 2 * size:] + inner) + z * hidden,

    return step


def _sequence(gates: np.ndarray, step: Cell, states: States,
              backwards: bool) -> tuple[np.ndarray, States]:
    """Every h [T, B, H] in the order of the input, and the states after the last step."""
    hidden = np.empty((*gates.shape[:2], states[0].shape[1]))
    times = range(len(gates))
    for time in reversed(times) if backwards else times:
        states = step(gates[time], states)
        hidden[time] = states[0]
    return hidden, states


def _rnn(recurrent: np.ndarray, bias: np.ndarray, activation: str) -> Cell:
    """A step from x·W + bW [B, H] and (h,) to the next (h,)."""
    def step(gates: np.ndarray, states: States) -> States:
        return PLAIN[activation](gates + states[0] @ recurrent.T + bias),

    return step


@register_real("LSTM", "GRU", "RNN")
def _recurrent(call: Call) -> np.ndarray:
    """The result that the operator names, in steps of the output.

    Operands: x [T, B, I], W [D, G·H, I] and R [D, G·H, H], float32 b [D, 2·G·H] or none, and the
    first h and c [D, B, H] or none. Results: "Y" [T, D, B, H], "Y_h" or "Y_c" [D, B, H].
    """
    x, weights, recurrent = (real_operand(call, position) for position in range(3))
    directions, rows, size = recurrent.shape
    first = [None if call.optional(position) is None else real_operand(call, position)
             for position in STATES[:2 if call.op.kind == "LSTM" else 1]]
    bias = call.optional(3)
    hidden, states = [], []
    for d in range(directions):
        input_bias, state_bias = (np.zeros((2, rows)) if bias is None
                                  else bias[d].astype(np.float64).reshape(2, rows))
        if call.op.kind == "RNN":
            step = _rnn(recurrent[d], state_bias, call.attribute("activations")[d])
        elif call.op.kind == "LSTM":
            step = _lstm(recurrent[d], state_bias)
        else:
            step = _gru(recurrent[d], state_bias, call.attribute("linear_before_reset"))
        before = tuple(np.zeros((x.shape[1], size)) if value is None
                       else value[d] for value in first)
        with np.errstate(all="ignore"):
            sequence, after = _sequence(x @ weights[d].T + input_bias, step, before,
                                        call.attribute("backwards")[d])
        hidden.append(sequence)
        states.append(after)
    result = {"Y": lambda: np.stack(hidden, axis=1),
              "Y_h": lambda: np.stack([s[0] for s in states]),
              "Y_c": lambda: np.stack([s[1] for s in states])}[call.attribute("result")]()
    if call.output.dtype == "float32":
        return result
    if np.isnan(result).any():
        raise OverflowError("an input that is not a number has no quantised result")
    return result / quantization(call.output).scale
