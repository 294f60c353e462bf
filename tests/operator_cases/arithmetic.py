"""Random arithmetic of two operands."""

from __future__ import annotations

import numpy as np
from tflite_builder import ACTIVATION

from operator_cases.cases import FUSED, Cases, Rng, draws, scale, values, zero_point

__all__: list[str] = []


def shapes(rng: Rng) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """Two shapes that broadcast, of up to four dimensions, and what they give."""
    shape = tuple(int(n) for n in rng.integers(1, 8, int(rng.integers(1, 5))))
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


@draws("ADD", "SUB", "MUL")
def elementwise(cases: Cases, rng: Rng, kind: str) -> None:
    """Sometimes broadcast or with a constant."""
    both, shape = shapes(rng)
    scales = [scale(rng, -6, 6) for _ in range(2)]
    widest = scales[0] * scales[1] * 2**7 if kind == "MUL" else max(scales)
    y_scale = float(np.float32(widest * 2.0 ** rng.uniform(-4, 6)))
    constant = int(rng.integers(0, 6))
    operands = [cases.given(values(rng, s), i == constant, scale=q, zero_point=zero_point(rng))
                for i, (s, q) in enumerate(zip(both, scales, strict=True))]
    y = cases.result(shape, scale=y_scale, zero_point=zero_point(rng))
    cases.op(kind, operands, [y], FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))])
