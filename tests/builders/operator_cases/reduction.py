"""Random reductions."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.arithmetic import dtype_of, small
from builders.operator_cases.cases import Cases, Rng, draws, values, zero_point
from builders.operator_cases.movement import quantized, shape_of_rank

__all__: list[str] = []

PLAIN = ("int32", "int64", "float32")


def axes_of(rng: Rng, shape: list[int]) -> tuple[list[int], list[int]]:
    """Some axes, and how the file names them: in any order, from behind, one perhaps twice."""
    axes = [int(i) for i in rng.permutation(len(shape))[:int(rng.integers(1, len(shape) + 1))]]
    named = [i - len(shape) if rng.random() < 0.3 else i for i in axes]
    return axes, named + ([named[0]] if rng.random() < 0.2 else [])


@draws("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
def reduce(cases: Cases, rng: Rng, kind: str) -> None:
    """Any axes, kept as 1 or dropped."""
    shape = shape_of_rank(rng, 1, 4)
    if rng.random() < 0.3:
        shape[int(rng.integers(0, len(shape)))] = int(rng.integers(10, 100))
    axes, named = axes_of(rng, shape)
    keep = bool(rng.random() < 0.5)
    result = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
    dtype = dtype_of(rng, kind)
    if kind in ("MEAN", "SUM") and dtype in PLAIN:
        x, q = cases.given(small(rng, tuple(shape), dtype, 20)), {}
    elif kind in ("MEAN", "SUM"):
        own = quantized(rng, dtype)
        x = cases.given(values(rng, shape, dtype), **own)
        factor = 2.0 ** rng.uniform(0.1, 3)
        if kind == "SUM":
            factor *= 2.0 ** int(np.prod([shape[i] for i in axes])).bit_length() / 2.0 ** (
                rng.uniform(0, 5))
        elif rng.random() < 0.3:
            # Beyond 2^-22 and 2^-15 the reference leaves int32.
            factor = 2.0 ** rng.uniform(*rng.choice([(-3, 0), (-14, 0)] if dtype == "int16"
                                                    else [(-3, 0), (-21, 0)]))
        q = {"scale": float(np.float32(own["scale"] * factor)),
             "zero_point": zero_point(rng, dtype)}
    else:
        q = quantized(rng, dtype)
        x = cases.given(values(rng, shape, dtype), **q)
    cases.op(kind, [x, cases.numbers(named)], [cases.result(result, dtype, **q)], KeepDims=keep)


@draws("ARG_MAX", "ARG_MIN")
def arg(cases: Cases, rng: Rng, kind: str) -> None:
    """Any axis; few different values, so that the first of equal ones tells."""
    shape = shape_of_rank(rng, 1, 4)
    dtype = dtype_of(rng, kind)
    array = rng.integers(3, 6, shape).astype(dtype) if rng.random() < 0.6 else values(
        rng, shape, dtype)
    axis = int(rng.integers(0, len(shape)))
    x = cases.given(array, **quantized(rng, dtype))
    index = str(rng.choice(["int32", "int64"]))
    named = axis - len(shape) if rng.random() < 0.3 else axis
    at = cases.numbers(np.array(named), str(rng.choice(["int32", "int64"])))
    y = cases.result([*shape[:axis], *shape[axis + 1:]], index)
    cases.op(kind, [x, at], [y], OutputType=2 if index == "int32" else 4)
