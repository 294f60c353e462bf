"""Random products of matrices."""

from __future__ import annotations

import math

import numpy as np

from builders.operator_cases.arithmetic import dtype_of
from builders.operator_cases.cases import FUSED, Cases, Rng, draws, scale, values, zero_point
from builders.operator_cases.convolution import weighted
from kaniwa.benchmark.networks.tflite_file import ACTIVATION

__all__: list[str] = []


@draws("FULLY_CONNECTED")
def fully_connected(cases: Cases, rng: Rng, kind: str) -> None:
    """1-6 rows, with or without the input's leading dimensions kept; weights may be computed."""
    rows, ic, oc = (int(rng.integers(1, n)) for n in (7, 100, 30))
    keep, dtype = bool(rng.random() < 0.3), dtype_of(rng, kind)
    shape = [1, rows, ic] if keep else [rows, ic]
    x, w, b, q = weighted(cases, rng, values(rng, shape, dtype), (oc, ic), 0, ic)
    operands = [x, w, b] if rng.random() < 0.8 else [x, w]
    if dtype in ("int8", "uint8") and rng.random() < 0.3:
        own = cases.builder.tensors[x]
        w_scale = float(np.float32(q["scale"] / own.scales[0] * 2.0 ** rng.uniform(-14, -6)))
        w = cases.given(values(rng, (oc, ic), dtype), scale=w_scale,
                        zero_point=zero_point(rng, dtype))
        operands = [x, w]
    y = cases.result([*shape[:-1], oc], dtype, **q)
    cases.op(kind, operands, [y], KeepNumDims=keep,
             FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))])


@draws("BATCH_MATMUL")
def batch_matmul(cases: Cases, rng: Rng, kind: str) -> None:
    """Either operand transposed, batches broadcast."""
    dtype = dtype_of(rng, kind)
    rows, depth, columns = (int(n) for n in rng.integers(1, 9, 3))
    batch = [int(n) for n in rng.integers(1, 4, int(rng.integers(0, 3)))]
    flips = [bool(rng.random() < 0.4) for _ in range(2)]
    shapes = [[1 if rng.random() < 0.3 else n for n in batch] for _ in range(2)]
    a, b = [*shapes[0], rows, depth], [*shapes[1], depth, columns]
    a, b = ([*s[:-2], s[-1], s[-2]] if flip else s
            for s, flip in zip((a, b), flips, strict=True))
    result = [*np.broadcast_shapes(tuple(shapes[0]), tuple(shapes[1])), rows, columns]
    if dtype == "float32":
        operands = [cases.given(values(rng, s, dtype)) for s in (a, b)]
        y = cases.result(result, dtype)
    else:
        scales = [scale(rng) for _ in range(2)]
        bits = 14 if dtype == "int8" else 30
        low, high = -bits - math.log2(depth) - 1, 4 - bits // 2
        wide = rng.random() < 0.3      # factors above 1, up to where sums leave int32
        real = 2.0 ** (rng.uniform(high, 11) if wide else rng.uniform(low, high))
        y_scale = float(np.float32(scales[0] * scales[1] / real))
        most = 300 if wide and dtype == "int16" else 1 << 16
        operands = [cases.given(np.clip(values(rng, s, dtype), -most, most - 1).astype(dtype),
                                scale=q, zero_point=zero_point(rng, dtype))
                    for s, q in zip((a, b), scales, strict=True)]
        y = cases.result(result, dtype, scale=y_scale, zero_point=zero_point(rng, dtype))
    cases.op(kind, operands, [y], AdjX=flips[0], AdjY=flips[1])
