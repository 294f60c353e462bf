"""Random functions of one operand: tables, roots, and calls of the C library."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.cases import Cases, Rng, draws, scale, values, zero_point

__all__: list[str] = []


def quantized(cases: Cases, rng: Rng, kind: str, array: np.ndarray, x: tuple[float, int],
              y: tuple[float, int], **options: object) -> None:
    """A case with these scales and zero points of input and output."""
    operand = cases.given(array, scale=x[0], zero_point=x[1])
    result = cases.result(array.shape, str(array.dtype), scale=y[0], zero_point=y[1])
    cases.op(kind, [operand], [result], **options)


def every(rng: Rng, dtype: str, lowest: int | None = None) -> np.ndarray:
    """Each value of 8 bits from ``lowest`` on, or many of 16 bits or float32."""
    if dtype == "float32":
        return values(rng, (500,), dtype)
    limits = np.iinfo(dtype)
    first = int(limits.min) if lowest is None else lowest
    if limits.bits == 8:
        return np.arange(first, int(limits.max) + 1).astype(dtype)
    return rng.integers(first, limits.max, 2000, dtype, endpoint=True)


def floats(cases: Cases, kind: str, array: np.ndarray) -> None:
    """A float32 case."""
    cases.op(kind, [cases.given(array)], [cases.result(array.shape, "float32")])


@draws("LOGISTIC", "TANH")
def sigmoid(cases: Cases, rng: Rng, kind: str) -> None:
    """int16 with scales that are powers of two, or a little off, or any."""
    dtype = str(rng.choice(["int8", "uint8", "int16", "float32"]))
    array = every(rng, dtype)
    if dtype == "float32":
        floats(cases, kind, array)
        return
    zero = zero_point(rng, dtype)
    if dtype == "int16":
        near = 2.0 ** (rng.integers(-14, -9) + rng.uniform(-0.002, 0.002))
        x_scale = float(rng.choice([2.0**-12, 2.0**-11, near, scale(rng, -18, 2)]))
        quantized(cases, rng, kind, array, (x_scale, 0), (1 / 32768, 0))
    elif kind == "LOGISTIC":
        lowest = int(np.iinfo(dtype).min)
        y_zero = int(rng.choice([lowest, lowest, zero]))
        quantized(cases, rng, kind, array, (scale(rng, -8, 2), zero), (1 / 256, y_zero))
    else:
        y_scale = float(rng.choice([1 / 128, scale(rng, -9, 0)]))
        quantized(cases, rng, kind, array, (scale(rng, -8, 2), zero),
                  (y_scale, zero_point(rng, dtype)))


@draws("ELU")
def elu(cases: Cases, rng: Rng, kind: str) -> None:
    """int8 and float32."""
    if rng.random() < 0.3:
        floats(cases, kind, every(rng, "float32"))
        return
    quantized(cases, rng, kind, every(rng, "int8"), (scale(rng, -8, 2), zero_point(rng)),
              (scale(rng, -8, 2), zero_point(rng)))


@draws("GELU")
def gelu(cases: Cases, rng: Rng, kind: str) -> None:
    """Both forms."""
    dtype = str(rng.choice(["int8", "uint8", "int16"]))
    down = -8 if dtype == "int16" else 0
    quantized(cases, rng, kind, every(rng, dtype),
              (scale(rng, down - 7, down), zero_point(rng, dtype)),
              (scale(rng, down - 7, down), zero_point(rng, dtype)),
              Approximate=bool(rng.random() < 0.5))


@draws("EXP", "LOG")
def exponential(cases: Cases, rng: Rng, kind: str) -> None:
    """Input ranges of up to 2^4; of float32 also results that overflow, but no NaN."""
    dtype = str(rng.choice(["int8", "int16", "float32"]))
    if dtype == "float32":
        array = every(rng, dtype)
        floats(cases, kind, np.abs(array) if kind == "LOG" else array)
        return
    down = -8 if dtype == "int16" else 0
    quantized(cases, rng, kind, every(rng, dtype),
              (scale(rng, down - 8, down - 4), zero_point(rng, dtype)),
              (scale(rng, down - 6, down), zero_point(rng, dtype)))


@draws("SQRT", "RSQRT")
def root(cases: Cases, rng: Rng, kind: str) -> None:
    """Inputs that are not negative, which is all that the reference takes."""
    dtype = str(rng.choice(["int8", "int16", "float32"]))
    if dtype == "float32":
        floats(cases, kind, np.abs(every(rng, dtype)))
        return
    down, zero = (-8, 0) if dtype == "int16" else (0, zero_point(rng, dtype))
    array = every(rng, dtype, zero)
    quantized(cases, rng, kind, array, (scale(rng, down - 8, down), zero),
              (scale(rng, down - 6, down + 2), zero_point(rng, dtype)))
