"""Random operators over the last axis."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.cases import Cases, Rng, draws, scale, values, zero_point

__all__: list[str] = []

OUTPUTS = (("int8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("uint8", "int16"),
           ("int16", "int16"), ("float32", "float32"))


def rows(rng: Rng, dtype: str, longest: int = 511) -> np.ndarray:
    """1-4 rows of up to ``longest`` values, over the whole range or close together."""
    shape = (int(rng.integers(1, 5)), int(rng.choice([1, 2, 3, 10, 12, 100, longest])))
    if dtype == "float32" or rng.random() < 0.5:
        return values(rng, shape, dtype)
    limits = np.iinfo(dtype)
    near = rng.integers(-6, 7, shape) + int(rng.integers(limits.min, limits.max))
    return np.clip(near, limits.min, limits.max).astype(dtype)


@draws("SOFTMAX")
def softmax(cases: Cases, rng: Rng, kind: str) -> None:
    """Input scales from 2^-20 to 2^6; beta is often 1."""
    dtype, result = OUTPUTS[int(rng.integers(0, len(OUTPUTS)))]
    array = rows(rng, dtype)
    beta = float(rng.choice([1.0, 0.5, 2.0, rng.uniform(0.1, 8)]))
    if dtype == "float32":
        cases.op(kind, [cases.given(array)], [cases.result(array.shape, dtype)], Beta=beta)
        return
    high = -2 if dtype == "int16" else 6
    x = cases.given(array, scale=scale(rng, -20, high), zero_point=zero_point(rng, dtype))
    limits = np.iinfo(result)
    smallest = 0 if dtype == "int16" else int(limits.min)
    y_scale = 1 / 32768 if dtype == "int16" else 1 / (1 << limits.bits)
    y = cases.result(array.shape, result, scale=y_scale, zero_point=smallest)
    cases.op(kind, [x], [y], Beta=beta)


@draws("LOG_SOFTMAX")
def log_softmax(cases: Cases, rng: Rng, kind: str) -> None:
    """Input scales from 2^-24 to 2^4."""
    dtype = str(rng.choice(["int8", "uint8", "float32"]))
    array = rows(rng, dtype, 4095)
    if dtype == "float32":
        cases.op(kind, [cases.given(array)], [cases.result(array.shape, dtype)])
        return
    x = cases.given(array, scale=scale(rng, -24, 4), zero_point=zero_point(rng, dtype))
    y = cases.result(array.shape, dtype, scale=1 / 16, zero_point=int(np.iinfo(dtype).max))
    cases.op(kind, [x], [y])


@draws("L2_NORMALIZATION")
def l2_normalization(cases: Cases, rng: Rng, kind: str) -> None:
    """Rows that are all zero too."""
    dtype = str(rng.choice(["int8", "uint8", "float32"]))
    array = rows(rng, dtype)
    if dtype == "float32":
        array = (array * np.float32(2.0 ** rng.uniform(-30, 0))).astype(np.float32)
        cases.op(kind, [cases.given(array)], [cases.result(array.shape, dtype)],
                 FusedActivationFunction=0)
        return
    zero = zero_point(rng, dtype)
    array = np.where(rng.random((len(array), 1)) < 0.2, zero, array).astype(dtype)
    x = cases.given(array, scale=scale(rng), zero_point=zero)
    y = cases.result(array.shape, dtype, scale=1 / 128, zero_point=0 if dtype == "int8" else 128)
    cases.op(kind, [x], [y], FusedActivationFunction=0)
