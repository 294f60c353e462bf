"""A graph of one LSTM with random weights."""

from __future__ import annotations

import numpy as np

from kaniwa.golden.lstm import PROJECTION
from kaniwa.graph import Graph, Op, Quantization, State, Tensor


def lstm_graph(rng: np.random.Generator, steps: int, depth: int, count: int, *, time_major: bool,
               batch: int = 1, power: int = -11, clip: float = 0.0,
               extra: int | None = None, zero: int | None = None) -> Graph:
    """A single LSTM with random weights; ``extra``: an operand that the accelerator refuses;
    ``zero``: the hidden state's zero point, and then half of its weights are the largest."""
    tensors: list[Tensor] = []

    def tensor(name: str, shape: tuple[int, ...], dtype: str, scale: float, zero: int = 0,
               data: np.ndarray | None = None) -> int:
        tensors.append(Tensor(len(tensors), name, shape, dtype, Quantization((scale,), (zero,)),
                              data))
        return len(tensors) - 1

    shape = (steps, batch, depth) if time_major else (batch, steps, depth)
    x = tensor("x", shape, "int8", 0.02, int(rng.integers(-128, 128)))
    operands = [x] + [-1] * 23
    for first, columns in ((1, depth), (5, count)):
        for gate in range(4):
            data = rng.integers(-128, 128, (count, columns)).astype(np.int8)
            if zero is not None and first > 1:
                data[::2] = 127
            operands[first + gate] = tensor(f"w{first + gate}", data.shape, "int8",
                                            float(rng.uniform(0.002, 0.02)), 0, data)
    for gate in range(4):
        data = rng.integers(-30000, 30000, count).astype(np.int32)
        operands[12 + gate] = tensor(f"b{gate}", data.shape, "int32", 1e-4, 0, data)
    zero = int(rng.integers(-20, 20)) if zero is None else zero
    operands[18] = h = tensor("h", (batch, count), "int8", 1 / 127, zero)
    operands[19] = c = tensor("c", (batch, count), "int16", 2.0**power)
    if extra is not None:
        data = rng.integers(-99, 99, (count, count) if extra == PROJECTION else count)
        dtype = np.int8 if extra == PROJECTION else np.int16
        operands[extra] = tensor("more", data.shape, np.dtype(dtype).name, 1e-3, 0,
                                 data.astype(dtype))
    y = tensor("y", (*shape[:2], count), "int8", 1 / 127, zero)
    after = (tensor("h2", (batch, count), "int8", 1 / 127, zero),
             tensor("c2", (batch, count), "int16", 2.0**power))
    op = Op("UNIDIRECTIONAL_SEQUENCE_LSTM", "lstm", tuple(operands), (y, *after), {
        "gate_scales": (2.0**-12,) * 4, "activation": "TANH", "cell_clip": clip,
        "projection_clip": 0.0, "time_major": time_major, "hidden": (1 / 127, zero)}, "", 0)
    state = (State(h, after[0], rng.integers(-128, 128, (batch, count)).astype(np.int8)),
             State(c, after[1], rng.integers(-9000, 9000, (batch, count)).astype(np.int16)))
    return Graph("lstm", tuple(tensors), (op,), (x,), (y,), "0" * 64, state=state)
