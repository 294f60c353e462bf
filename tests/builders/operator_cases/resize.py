"""Random changes of an image's size."""

from __future__ import annotations

from builders.operator_cases.cases import Cases, Rng, draws
from builders.operator_cases.movement import drawn

__all__: list[str] = []


@draws("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR")
def resize(cases: Cases, rng: Rng, kind: str) -> None:
    """Larger and smaller, all three ways to place pixels."""
    n, h, w, c = (int(rng.integers(1, k)) for k in (3, 12, 12, 5))
    x, dtype, q = drawn(cases, rng, kind, [n, h, w, c])
    size = [int(s) for s in rng.integers(1, 20, 2)]
    way = int(rng.integers(0, 3))
    cases.op(kind, [x, cases.numbers(size)], [cases.result([n, *size, c], dtype, **q)],
             AlignCorners=way == 1, HalfPixelCenters=way == 2)
