"""Random arithmetic of one or two operands."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.cases import (
    FUSED,
    Cases,
    Rng,
    draws,
    input_dtypes,
    scale,
    values,
    zero_point,
)
from builders.operator_cases.movement import shape_of_rank
from kaniwa.benchmark.networks.tflite_file import ACTIVATION

__all__: list[str] = []

INTEGERS = ("int32", "int64")


def shapes(rng: Rng, most: int = 4) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Two shapes that broadcast, of up to ``most`` dimensions, and what they give."""
    rank, size = int(rng.integers(1, most + 1)), 8 if most == 4 else 4
    shape = tuple(int(n) for n in rng.integers(1, size, rank))
    draw = rng.random()
    other = tuple(1 if rng.random() < 0.5 else n for n in shape) if draw < 0.3 else shape
    if 0.3 <= draw < 0.4:
        other = shape[int(rng.integers(0, len(shape))):]
    if draw > 0.85:
        other = ()
    both = [shape, other]
    if rng.random() < 0.5:
        both.reverse()
    return both, shape


def dtype_of(rng: Rng, kind: str) -> str:
    """A dtype that the operator has; every second case is quantised."""
    dtypes = input_dtypes(kind)
    return dtypes[0] if rng.random() < 0.3 else str(rng.choice(dtypes))


def small(rng: Rng, shape: tuple[int, ...], dtype: str, bits: int) -> np.ndarray:
    """Values of a plain dtype; integers of so many bits."""
    if dtype == "float32":
        return values(rng, shape, dtype)
    return rng.integers(-(1 << bits), 1 << bits, shape, endpoint=True).astype(dtype)


@draws("ADD", "SUB", "MUL")
def elementwise(cases: Cases, rng: Rng, kind: str) -> None:
    """Sometimes broadcast or with a constant."""
    both, shape = shapes(rng, 4 if kind == "SUB" else 6)
    dtype, constant = dtype_of(rng, kind), int(rng.integers(0, 6))
    options = {"FusedActivationFunction": ACTIVATION[str(rng.choice(FUSED))]}
    if dtype in ("float32", *INTEGERS):
        bits = {"int32": 30, "int64": 60}.get(dtype, 0) // (2 if kind == "MUL" else 1)
        operands = [cases.given(small(rng, s, dtype, bits), i == constant)
                    for i, s in enumerate(both)]
        cases.op(kind, operands, [cases.result(shape, dtype)], **options)
        return
    scales = [scale(rng, -6, 6) for _ in range(2)]
    wide = 15 if dtype == "int16" else 7
    widest = scales[0] * scales[1] * 2**wide if kind == "MUL" else max(scales)
    y_scale = float(np.float32(widest * 2.0 ** rng.uniform(-4, 6)))
    operands = [cases.given(values(rng, s, dtype), i == constant, scale=q,
                            zero_point=zero_point(rng, dtype))
                for i, (s, q) in enumerate(zip(both, scales, strict=True))]
    y = cases.result(shape, dtype, scale=y_scale, zero_point=zero_point(rng, dtype))
    if dtype == "int16" and kind != "MUL":
        options["PotScaleInt16"] = False
    cases.op(kind, operands, [y], **options)


@draws("DIV")
def div(cases: Cases, rng: Rng, kind: str) -> None:
    """No divisor is zero, except in float32."""
    both, shape = shapes(rng)
    dtype = dtype_of(rng, kind)
    options = {"FusedActivationFunction": ACTIVATION[str(rng.choice(FUSED))]}
    if dtype in ("float32", "int32"):
        a, b = (small(rng, s, dtype, 30 >> int(rng.integers(0, 3))) for s in both)
        if dtype == "int32":
            b = np.where(b == 0, 3, b).astype(dtype)
        operands = [cases.given(a), cases.given(b, bool(rng.random() < 0.3))]
        cases.op(kind, operands, [cases.result(shape, dtype)], **options)
        return
    scales = [scale(rng, -6, 6) for _ in range(2)]
    y_scale = float(np.float32(scales[0] / scales[1] / 2.0 ** rng.uniform(6.1, 9)))
    zeros = [zero_point(rng, dtype) for _ in range(2)]
    a, b = (values(rng, s, dtype) for s in both)
    b = np.where(b == zeros[1], zeros[1] + (1 if zeros[1] < 100 else -1), b).astype(dtype)
    operands = [cases.given(v, scale=s, zero_point=z)
                for v, s, z in zip((a, b), scales, zeros, strict=True)]
    y = cases.result(shape, dtype, scale=y_scale, zero_point=zero_point(rng, dtype))
    cases.op(kind, operands, [y], **options)


@draws("FLOOR_DIV", "MAXIMUM", "MINIMUM")
def plain(cases: Cases, rng: Rng, kind: str) -> None:
    """Raw numbers, whatever the quantisation."""
    both, shape = shapes(rng)
    dtype = dtype_of(rng, kind)
    q = {} if dtype in ("float32", *INTEGERS) else {
        "scale": scale(rng), "zero_point": zero_point(rng, dtype)}
    a, b = (values(rng, s, dtype) for s in both)
    if kind == "FLOOR_DIV":
        b = np.where((b == 0) | (b == -1), 3, b).astype(dtype)
    operands = [cases.given(a, **q), cases.given(b, bool(rng.random() < 0.3), **q)]
    cases.op(kind, operands, [cases.result(shape, dtype, **q)])


@draws("SQUARED_DIFFERENCE")
def squared_difference(cases: Cases, rng: Rng, kind: str) -> None:
    """Squares that fill the output's range by a part or several times."""
    both, shape = shapes(rng)
    dtype = dtype_of(rng, kind)
    if dtype in ("float32", "int32"):
        operands = [cases.given(small(rng, s, dtype, 14)) for s in both]
        cases.op(kind, operands, [cases.result(shape, dtype)])
        return
    scales = [scale(rng, -4, 4) for _ in range(2)]
    y_scale = float(np.float32(max(scales) ** 2 * 2.0 ** rng.uniform(0, 10)))
    operands = [cases.given(values(rng, s, dtype), scale=q, zero_point=zero_point(rng, dtype))
                for s, q in zip(both, scales, strict=True)]
    y = cases.result(shape, dtype, scale=y_scale, zero_point=zero_point(rng, dtype))
    cases.op(kind, operands, [y])


@draws("NEG", "ABS")
def unary(cases: Cases, rng: Rng, kind: str) -> None:
    """With the same or with another scale."""
    shape = tuple(shape_of_rank(rng, 1, 4))
    dtype = dtype_of(rng, kind)
    if dtype in ("float32", *INTEGERS):
        x = cases.given(small(rng, shape, dtype, 30))
        cases.op(kind, [x], [cases.result(shape, dtype)])
        return
    x_scale = scale(rng)
    y_scale = x_scale if rng.random() < 0.3 else float(
        np.float32(x_scale * 2.0 ** rng.uniform(-3, 6)))
    x = cases.given(values(rng, shape, dtype), scale=x_scale, zero_point=zero_point(rng, dtype))
    y = cases.result(shape, dtype, scale=y_scale, zero_point=zero_point(rng, dtype))
    cases.op(kind, [x], [y])
