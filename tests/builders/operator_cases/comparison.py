"""Random comparisons and selections."""

from __future__ import annotations

from builders.operator_cases.arithmetic import dtype_of, shapes
from builders.operator_cases.cases import Cases, Rng, draws, scale, values, zero_point
from builders.operator_cases.movement import drawn, shape_of_rank

__all__: list[str] = []


@draws("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
def comparison(cases: Cases, rng: Rng, kind: str) -> None:
    """Half of the values are near one another; scales are equal or not."""
    both, shape = shapes(rng)
    dtype = dtype_of(rng, kind)
    near = rng.random() < 0.5 and dtype != "bool"
    arrays = [(rng.integers(60, 64, s).astype(dtype) if near else values(rng, s, dtype))
              for s in both]
    q = [{}, {}]
    if dtype in ("int8", "uint8", "int16"):
        q = [{"scale": scale(rng, -10, -1), "zero_point": zero_point(rng, dtype)}
             for _ in range(2)]
        if rng.random() < 0.5:
            q[1] = q[0]
    operands = [cases.given(a, i == 1 and bool(rng.random() < 0.3), **some)
                for i, (a, some) in enumerate(zip(arrays, q, strict=True))]
    cases.op(kind, operands, [cases.result(shape, "bool")])


@draws("SELECT", "SELECT_V2")
def select(cases: Cases, rng: Rng, kind: str) -> None:
    """A condition of the same shape, one a row, one for all; SELECT_V2 broadcasts all three."""
    shape = shape_of_rank(rng, 1, 4)
    condition, other = list(shape), list(shape)
    if kind == "SELECT":
        condition = [shape, shape[:1], []][int(rng.integers(0, 3))]
    else:
        condition, other = ([1 if rng.random() < 0.3 else n for n in shape] for _ in range(2))
    a, dtype, q = drawn(cases, rng, kind, shape)
    c = cases.given(values(rng, condition, "bool"))
    b = cases.given(values(rng, other, dtype), **q)
    cases.op(kind, [c, a, b], [cases.result(shape, dtype, **q)])
