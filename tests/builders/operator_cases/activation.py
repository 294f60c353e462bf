"""Random clamps and functions of two straight lines."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.cases import Cases, Rng, draws, scale, values, zero_point

__all__ = ["unary"]

WIDE = ("int8", "uint8", "int16", "float32")
BYTES = ("int8", "uint8", "float32")


def unary(cases: Cases, rng: Rng, kind: str, dtype: str, low: float, high: float,
          **options: object) -> None:
    """An operator of one operand that rescales by 2^``low`` to 2^``high``."""
    array = values(rng, rng.integers(1, 9, int(rng.integers(1, 5))), dtype)
    if dtype == "float32":
        cases.op(kind, [cases.given(array)], [cases.result(array.shape, dtype)], **options)
        return
    x_scale = scale(rng)
    y_scale = float(np.float32(x_scale * 2.0 ** rng.uniform(low, high)))
    x = cases.given(array, scale=x_scale, zero_point=zero_point(rng, dtype))
    y = cases.result(array.shape, dtype, scale=y_scale, zero_point=zero_point(rng, dtype))
    cases.op(kind, [x], [y], **options)


@draws("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1")
def relu(cases: Cases, rng: Rng, kind: str) -> None:
    """A clamp that rescales by 2^-10 to 2^10."""
    dtype = str(rng.choice(WIDE if kind in ("RELU", "RELU6") else BYTES))
    unary(cases, rng, kind, dtype, -10, 10)


@draws("LEAKY_RELU")
def leaky_relu(cases: Cases, rng: Rng, kind: str) -> None:
    """Slopes below 0, between 0 and 1, and above."""
    slope = float(rng.choice([0.2, 0.01, 0.0, 1.5, rng.uniform(0, 3), rng.uniform(-2, 0)]))
    unary(cases, rng, kind, str(rng.choice(WIDE)), -10, 10, Alpha=slope)


@draws("PRELU")
def prelu(cases: Cases, rng: Rng, kind: str) -> None:
    """A slope for all, each channel, or each element; constant or computed."""
    shape = tuple(int(n) for n in rng.integers(1, 7, int(rng.integers(1, 5))))
    shared = tuple(1 if rng.random() < 0.4 else n for n in shape)
    slopes = [(), (1,), (shape[-1],), shared, shape][int(rng.integers(0, 5))]
    dtype, constant = str(rng.choice(BYTES)), bool(rng.random() < 0.7)
    arrays = values(rng, shape, dtype), values(rng, slopes, dtype)
    if dtype == "float32":
        operands = [cases.given(arrays[0]), cases.given(arrays[1], constant)]
        cases.op(kind, operands, [cases.result(shape, dtype)])
        return
    scales = scale(rng), scale(rng, -9, 0)
    operands = [
        cases.given(array, fixed, scale=s, zero_point=zero_point(rng, dtype))
        for array, fixed, s in zip(arrays, (False, constant), scales, strict=True)
    ]
    y_scale = float(np.float32(scales[0] * 2.0 ** rng.uniform(-4, 6)))
    y = cases.result(shape, dtype, scale=y_scale, zero_point=zero_point(rng, dtype))
    cases.op(kind, operands, [y])


@draws("HARD_SWISH")
def hard_swish(cases: Cases, rng: Rng, kind: str) -> None:
    """Output scales from 1/126 to 2^8 of the input's."""
    unary(cases, rng, kind, str(rng.choice(BYTES)), -6.98, 8)
