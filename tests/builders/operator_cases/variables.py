"""Random uses of resource variables; each case runs several times."""

from __future__ import annotations

from typing import Any

from builders.operator_cases.cases import Cases, Rng, draws, scale, values, zero_point
from kaniwa.benchmark.networks.tflite_file import ModelBuilder

__all__: list[str] = []

DTYPES = ("int8", "int16", "int32", "int64", "float32")


@draws("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
def variable(cases: Cases, rng: Rng, kind: str) -> None:
    """Initial values of a subgraph; read before and behind assignments, or never assigned."""
    dtype = str(rng.choice(DTYPES))
    shape = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(1, 4))))
    q: dict[str, Any] = {}
    if dtype in ("int8", "int16"):
        q = {"scale": scale(rng), "zero_point": zero_point(rng, dtype)}
    name = f"variable{len(cases.builder.tensors)}"
    if cases.once is None:
        cases.once = ModelBuilder()
        cases.op("CALL_ONCE", [], [], InitSubgraphIndex=1)
    initial = cases.once.tensor("initial", shape, dtype, data=values(rng, shape, dtype), **q)
    cases.once.op("ASSIGN_VARIABLE", [handle(cases.once, name), initial], [])
    resource = handle(cases.builder, name)
    for assigned in [False, *(rng.random(2) < 0.6)]:
        if assigned:
            x = cases.given(values(rng, shape, dtype), bool(rng.random() < 0.2), **q)
            cases.op("ASSIGN_VARIABLE", [resource, x], [])
        else:
            cases.op("READ_VARIABLE", [resource], [cases.result(shape, dtype, **q)])


def handle(builder: ModelBuilder, name: str) -> int:
    """The variable's handle."""
    resource = builder.tensor(f"{name}_handle", [1], "resource")
    builder.op("VAR_HANDLE", [], [resource], SharedName=name)
    return resource
