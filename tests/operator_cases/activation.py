"""Random functions of one operand."""

from __future__ import annotations

import numpy as np

from operator_cases.cases import Cases, Rng, draws, scale, values, zero_point

__all__: list[str] = []


@draws("RELU", "RELU6")
def relu(cases: Cases, rng: Rng, kind: str) -> None:
    """A clamp that rescales by 2^-10 to 2^10."""
    shape = rng.integers(1, 9, int(rng.integers(1, 5)))
    x_scale = scale(rng)
    y_scale = float(np.float32(x_scale * 2.0 ** rng.uniform(-10, 10)))
    x = cases.given(values(rng, shape), scale=x_scale, zero_point=zero_point(rng))
    y = cases.result(shape, scale=y_scale, zero_point=zero_point(rng))
    cases.op(kind, [x], [y])


@draws("SOFTMAX")
def softmax(cases: Cases, rng: Rng, kind: str) -> None:
    """1-511 values, with input scales from 2^-20 to 2^6."""
    shape = (int(rng.integers(1, 5)), int(rng.choice([1, 2, 3, 10, 12, 100, 511])))
    array = values(rng, shape)
    if rng.random() < 0.5:
        array = (rng.integers(-6, 7, shape) + int(rng.integers(-120, 120))).astype(np.int8)
    x = cases.given(array, scale=scale(rng, -20, 6), zero_point=zero_point(rng))
    y = cases.result(shape, scale=1 / 256, zero_point=-128)
    cases.op(kind, [x], [y], Beta=float(rng.choice([1.0, 0.5, 2.0, rng.uniform(0.1, 8)])))
