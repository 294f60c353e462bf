"""Random reductions."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.arithmetic import dtype_of, small
from builders.operator_cases.cases import Cases, Rng, draws, scale, values, zero_point
from builders.operator_cases.movement import drawn, quantized, shape_of_rank

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
            factor = 2.0 ** rng.uniform(-7 if dtype == "int16" else -3, 0)
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


@draws("QUANTIZE")
def quantize(cases: Cases, rng: Rng, kind: str) -> None:
    """From every dtype to every other that the reference has."""
    from kaniwa.importers.tflite.families.conversion import TARGETS

    source = str(rng.choice(list(TARGETS)))
    target = str(rng.choice(TARGETS[source]))
    shape = shape_of_rank(rng, 1, 4)
    y_scale = scale(rng)
    zero = 0 if target == "int32" else zero_point(rng, target)
    if source == "float32":
        steps = rng.normal(size=shape) * 2.0 ** rng.integers(2, 16)
        halves = np.round(steps * 2) / 2
        x = cases.given(((halves if rng.random() < 0.5 else steps) * y_scale).astype(np.float32))
    else:
        wide = {"int16": 7, "int32": 0}.get(source, 12)
        if target == "int32":
            wide = min(wide, 6)
        x_scale = float(np.float32(y_scale * 2.0 ** rng.uniform(-10, wide)))
        if source == target and rng.random() < 0.3 or {source, target} == {"int8", "uint8"} and (
                rng.random() < 0.5):
            x_scale = y_scale
        own = 0 if source == "int32" else zero_point(rng, source)
        x = cases.given(values(rng, shape, source), scale=x_scale, zero_point=own)
    cases.op(kind, [x], [cases.result(shape, target, scale=y_scale, zero_point=zero)])


@draws("DEQUANTIZE")
def dequantize(cases: Cases, rng: Rng, kind: str) -> None:
    """One scale, or one a slice."""
    shape = shape_of_rank(rng, 1, 4)
    x, dtype, _ = drawn(cases, rng, kind, shape)
    if dtype != "int16" and rng.random() < 0.3:
        axis = int(rng.integers(0, len(shape)))
        count = shape[axis]
        cases.inputs.pop()
        array = cases.arrays.pop()
        x = cases.given(array, axis=axis, scale=[scale(rng) for _ in range(count)],
                        zero_point=[zero_point(rng, dtype)] * count)
    cases.op(kind, [x], [cases.result(shape, "float32")])


@draws("CAST")
def cast(cases: Cases, rng: Rng, kind: str) -> None:
    """Every dtype to every dtype; numbers that fit where they come from float32."""
    source, target = dtype_of(rng, kind), dtype_of(rng, kind)
    shape = shape_of_rank(rng, 1, 4)
    array = values(rng, shape, source)
    if source == "float32":
        array = (rng.random(shape) * 126).astype(np.float32)
        if target not in ("uint8",):
            array = array * rng.choice(np.array([-1, 1], np.float32), shape)
    x = cases.given(array)
    code = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9}
    cases.op(kind, [x], [cases.result(shape, target)], InDataType=code[source],
             OutDataType=code[target])


@draws("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR")
def resize(cases: Cases, rng: Rng, kind: str) -> None:
    """Larger and smaller, all three ways to place pixels."""
    n, h, w, c = (int(rng.integers(1, k)) for k in (3, 12, 12, 5))
    x, dtype, q = drawn(cases, rng, kind, [n, h, w, c])
    size = [int(s) for s in rng.integers(1, 20, 2)]
    way = int(rng.integers(0, 3))
    cases.op(kind, [x, cases.numbers(size)], [cases.result([n, *size, c], dtype, **q)],
             AlignCorners=way == 1, HalfPixelCenters=way == 2)
