"""A graph of one LSTM with random weights."""

from __future__ import annotations

import numpy as np

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
from kaniwa.graph import Graph, Op, Quantization, State, Tensor


def lstm_graph(rng: np.random.Generator, steps: int, depth: int, count: int, *, time_major: bool,
               batch: int = 1, power: int = -11, clip: float = 0.0, zero: int | None = None,
               coupled: bool = False, peepholes: bool = False, projected: int = 0,
               projection_clip: float = 0.0, normalized: bool = False,
               weight_scale: float = 0.02, peephole_scale: float = 1e-4) -> Graph:
    """A single LSTM with random weights; ``zero``: the hidden state's zero point, and then half of
    its weights are the largest; ``projected``: to so many outputs, with a bias if they are even;
    ``weight_scale`` and ``peephole_scale``: the largest one of the weights of inputs and hidden
    state, and of those of the cell state."""
    tensors: list[Tensor] = []

    def tensor(name: str, shape: tuple[int, ...], dtype: str, scale: float, zero: int = 0,
               data: np.ndarray | None = None) -> int:
        tensors.append(Tensor(len(tensors), name, shape, dtype, Quantization((scale,), (zero,)),
                              data))
        return len(tensors) - 1

    def constant(name: str, most: int, shape: tuple[int, ...], dtype: str, scale: float) -> int:
        data = rng.integers(-most, most, shape).astype(dtype)
        return tensor(name, shape, dtype, scale, 0, data)

    outputs = projected or count
    shape = (steps, batch, depth) if time_major else (batch, steps, depth)
    x = tensor("x", shape, "int8", 0.02, int(rng.integers(-128, 128)))
    operands = [x] + [-1] * 23
    gates = range(1 if coupled else 0, len(GATES))
    for first, columns in ((INPUT_WEIGHTS, depth), (RECURRENT_WEIGHTS, outputs)):
        for gate in gates:
            data = rng.integers(-128, 128, (count, columns)).astype(np.int8)
            if zero is not None and first == RECURRENT_WEIGHTS:
                data[::2] = 127
            scale = float(rng.uniform(weight_scale / 10, weight_scale))
            operands[first + gate] = tensor(f"w{first + gate}", data.shape, "int8", scale, 0, data)
    for gate in gates:
        operands[BIAS + gate] = constant(f"b{gate}", 30000, (count,), "int32", 1e-4)
        if normalized:
            operands[NORMALIZATION + gate] = constant(f"n{gate}", 32767, (count,), "int16", 1e-4)
    zero = int(rng.integers(-20, 20)) if zero is None else zero
    operands[HIDDEN_STATE] = h = tensor("h", (batch, outputs), "int8", 1 / 127, zero)
    operands[CELL_STATE] = c = tensor("c", (batch, count), "int16", 2.0**power)
    for name, position in PEEPHOLES.items() if peepholes else ():
        if GATES.index(name) in gates:
            operands[position] = constant(f"p{name}", 32768, (count,), "int16",
                                          float(rng.uniform(peephole_scale / 10, peephole_scale)))
    hidden = (1 / 127, zero)
    if projected:
        hidden = (float(rng.uniform(0.005, 0.01)), int(rng.integers(-128, 128)))
        operands[PROJECTION] = constant("projection", 128, (outputs, count), "int8",
                                        float(rng.uniform(0.002, 0.02)))
        if projected % 2 == 0:
            operands[PROJECTION_BIAS] = constant("shift", 9000, (outputs,), "int32", 1e-4)
    y = tensor("y", (*shape[:2], outputs), "int8", 1 / 127, zero)
    after = (tensor("h2", (batch, outputs), "int8", 1 / 127, zero),
             tensor("c2", (batch, count), "int16", 2.0**power))
    op = Op("UNIDIRECTIONAL_SEQUENCE_LSTM", "lstm", tuple(operands), (y, *after), {
        "gate_scales": (2.0**-12,) * len(GATES), "activation": "TANH", "cell_clip": clip,
        "projection_clip": projection_clip, "time_major": time_major, "hidden": hidden}, "", 0)
    state = (State(h, after[0], rng.integers(-128, 128, (batch, outputs)).astype(np.int8)),
             State(c, after[1], rng.integers(-9000, 9000, (batch, count)).astype(np.int16)))
    return Graph("lstm", tuple(tensors), (op,), (x,), (y,), "0" * 64, state=state)
