"""Random operators that remember; each case runs several times."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.cases import Cases, Rng, draws, scale

__all__: list[str] = []

GATES = 4


def constant(cases: Cases, rng: Rng, shape: tuple[int, ...], dtype: str, s: float,
             largest: int) -> int:
    """Weights or biases of up to ``largest``, with zero point 0."""
    array = rng.integers(-largest, largest, shape, endpoint=True).astype(dtype)
    return cases.given(array, True, scale=s, zero_point=0)


def variable(cases: Cases, shape: tuple[int, ...], dtype: str, s: float, zero: int) -> int:
    """A tensor that keeps its value."""
    return cases.builder.tensor(f"t{len(cases.builder.tensors)}", shape, dtype, scale=s,
                                zero_point=zero, variable=True)


def any_byte(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(np.int8)


@draws("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(cases: Cases, rng: Rng, kind: str) -> None:
    """With and without input gate, peepholes, projection, clips; by batch and by time."""
    steps, batches, inputs, units = (int(rng.integers(1, n)) for n in (6, 4, 20, 20))
    coupled, peephole, projected, by_time, normalized = rng.random(5) < 0.4
    outputs = int(rng.integers(1, 20)) if projected and not peephole else units
    x_scale, h_scale = scale(rng, -7, -3), scale(rng, -8, -5)
    h_zero, power = int(rng.integers(-128, 128)), int(rng.integers(-15, -8))
    shape = (steps, batches) if by_time else (batches, steps)
    x = cases.given(any_byte(rng, (*shape, inputs)), scale=x_scale,
                    zero_point=int(rng.integers(-128, 128)))
    operands = [-1] * 24
    operands[0] = x
    for gate in range(1 if coupled else 0, GATES):
        w_scale = scale(rng, -10, -5)
        operands[1 + gate] = constant(cases, rng, (units, inputs), "int8", w_scale, 127)
        operands[5 + gate] = constant(cases, rng, (units, outputs), "int8", scale(rng, -10, -5),
                                      127)
        operands[12 + gate] = constant(cases, rng, (units,), "int32",
                                       float(np.float32(x_scale * w_scale)), 20000)
    if peephole:
        for position in (10, 11) if coupled else (9, 10, 11):
            operands[position] = constant(cases, rng, (units,), "int16", scale(rng, -15, -12),
                                          32767)
    if normalized:
        for gate in range(1 if coupled else 0, GATES):
            operands[20 + gate] = constant(cases, rng, (units,), "int16", scale(rng, -16, -13),
                                           32767)
    hidden_scale = scale(rng, -8, -6) if projected else h_scale
    hidden_zero = int(rng.integers(-128, 128)) if projected else h_zero
    if projected:
        operands[16] = constant(cases, rng, (outputs, units), "int8", scale(rng, -9, -6), 127)
        if rng.random() < 0.5:
            operands[17] = constant(cases, rng, (outputs,), "int32", 2.0**-16, 2000)
    operands[18] = variable(cases, (batches, outputs), "int8", h_scale, h_zero)
    operands[19] = variable(cases, (batches, units), "int16", 2.0**power, 0)
    between = [
        cases.builder.tensor(f"between{i}", [0], "int16", scale=scale(rng, -14, -11), zero_point=0)
        if normalized else cases.builder.tensor(f"between{i}", [0], "float32")
        for i in range(GATES)]
    between.append(cases.builder.tensor("hidden", [0], "int8", scale=hidden_scale,
                                        zero_point=hidden_zero))
    y = cases.result((*shape, outputs), scale=h_scale, zero_point=h_zero)
    clip = float(rng.choice([0.0, 2.0**power * rng.uniform(1000, 40000)]))
    narrow = float(rng.choice([0.0, h_scale * rng.uniform(20, 200)])) if projected else 0.0
    cases.op(kind, operands, [y], intermediates=between, FusedActivationFunction=4,
             CellClip=clip, ProjClip=narrow, TimeMajor=bool(by_time))


@draws("SVDF")
def svdf(cases: Cases, rng: Rng, kind: str) -> None:
    """Ranks of 1-3 and memories of 1-8, with and without a bias."""
    batches, inputs, units, rank, memory = (int(rng.integers(1, n)) for n in (4, 20, 12, 4, 9))
    filters = units * rank
    x_scale, y_scale = scale(rng, -7, -4), scale(rng, -8, -3)
    state_scale, time_scale = scale(rng, -12, -8), scale(rng, -16, -14)
    x = cases.given(any_byte(rng, (batches, inputs)), scale=x_scale,
                    zero_point=int(rng.integers(-128, 128)))
    features = constant(cases, rng, (filters, inputs), "int8", scale(rng, -8, -4), 127)
    times = constant(cases, rng, (filters, memory), "int16", time_scale, 3276)
    bias = -1 if rng.random() < 0.3 else constant(
        cases, rng, (units,), "int32", float(np.float32(state_scale * time_scale)), 100000)
    state = variable(cases, (batches, filters * memory), "int16", state_scale, 0)
    y = cases.result((batches, units), scale=y_scale, zero_point=int(rng.integers(-128, 128)))
    cases.op(kind, [x, features, times, bias, state], [y], Rank=rank, FusedActivationFunction=1)
