"""Random changes of type."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.arithmetic import dtype_of
from builders.operator_cases.cases import Cases, Rng, draws, scale, values, zero_point
from builders.operator_cases.movement import drawn, shape_of_rank

__all__: list[str] = []


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
