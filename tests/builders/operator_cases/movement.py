"""Random operators that only move data."""

from __future__ import annotations

from typing import Any

import numpy as np

from builders.operator_cases.cases import (
    Cases,
    Rng,
    draws,
    input_dtypes,
    scale,
    values,
    zero_point,
)

__all__ = ["ANY", "quantized", "shape_of_rank"]

ANY = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")


def quantized(rng: Rng, dtype: str) -> dict[str, Any]:
    """A scale and zero point where the dtype is a quantised one."""
    if dtype not in ("int8", "uint8", "int16"):
        return {}
    return {"scale": scale(rng), "zero_point": zero_point(rng, dtype)}


def shape_of_rank(rng: Rng, low: int, high: int) -> list[int]:
    """A shape of ``low`` to ``high`` dimensions of 1 to 6."""
    return [int(n) for n in rng.integers(1, 7, int(rng.integers(low, high + 1)))]


def drawn(cases: Cases, rng: Rng, kind: str, shape: list[int]) -> tuple[int, str, dict[str, Any]]:
    """An input of this shape, of a dtype that the operator has; also dtype and quantisation."""
    dtype = str(rng.choice(input_dtypes(kind)))
    q = quantized(rng, dtype)
    return cases.given(values(rng, shape, dtype), **q), dtype, q


@draws("RESHAPE")
def reshape(cases: Cases, rng: Rng, kind: str) -> None:
    """The shape as an operand or an option, with or without -1."""
    shape = shape_of_rank(rng, 1, 4) if rng.random() < 0.9 else [1] * int(rng.integers(1, 3))
    x, dtype, q = drawn(cases, rng, kind, shape)
    if len(shape) < 3 and max(shape) == 1 and rng.random() < 0.5:      # a scalar
        cases.op(kind, [x, cases.numbers([])], [cases.result([], dtype, **q)])
        return
    new = [int(n) for n in rng.permutation([*shape, *[1] * int(rng.integers(0, 2))])]
    if len(new) > 1 and rng.random() < 0.5:
        new = [new[0] * new[1], *new[2:]]
    y = cases.result(new, dtype, **q)
    asked = list(new)
    if rng.random() < 0.5:
        asked[int(rng.integers(0, len(new)))] = -1
    if rng.random() < 0.5:
        cases.op(kind, [x, cases.numbers(asked)], [y])
    else:
        cases.op(kind, [x], [y], NewShape=asked)


@draws("SHAPE")
def shape_(cases: Cases, rng: Rng, kind: str) -> None:
    """Of one to five axes."""
    shape = shape_of_rank(rng, 1, 5)
    x, _, _ = drawn(cases, rng, kind, shape)
    index = str(rng.choice(["int32", "int64"]))
    cases.op(kind, [x], [cases.result([len(shape)], index)], OutType=2 if index == "int32" else 4)


@draws("EXPAND_DIMS")
def expand_dims(cases: Cases, rng: Rng, kind: str) -> None:
    """Any axis, also counted from behind."""
    shape = shape_of_rank(rng, 1, 5)
    x, dtype, q = drawn(cases, rng, kind, shape)
    axis = int(rng.integers(0, len(shape) + 1))
    y = cases.result([*shape[:axis], 1, *shape[axis:]], dtype, **q)
    asked = axis - (len(shape) + 1) if rng.random() < 0.3 else axis
    cases.op(kind, [x, cases.numbers([asked] if rng.random() < 0.5 else np.array(asked),
                                     str(rng.choice(["int32", "int64"])))], [y])


@draws("SQUEEZE")
def squeeze(cases: Cases, rng: Rng, kind: str) -> None:
    """All axes of 1, or some that are named."""
    shape = [int(n) for n in rng.choice([1, 1, 2, 3, 5], int(rng.integers(2, 6)))]
    ones = [i for i, n in enumerate(shape) if n == 1]
    named = [i for i in ones if rng.random() < 0.6]
    gone = named or ones
    if len(gone) == len(shape):
        shape[0], gone = 4, [i for i in gone if i != 0]
        named = [i for i in named if i != 0]
        gone = named or [i for i, n in enumerate(shape) if n == 1]
    x, dtype, q = drawn(cases, rng, kind, shape)
    y = cases.result([n for i, n in enumerate(shape) if i not in gone], dtype, **q)
    asked = [i - len(shape) if rng.random() < 0.3 else i for i in named]
    cases.op(kind, [x], [y], **({"SqueezeDims": asked} if asked else {}))


@draws("TRANSPOSE")
def transpose(cases: Cases, rng: Rng, kind: str) -> None:
    """Any permutation of up to six axes."""
    shape = shape_of_rank(rng, 1, 6)
    x, dtype, q = drawn(cases, rng, kind, shape)
    permutation = [int(i) for i in rng.permutation(len(shape))]
    y = cases.result([shape[i] for i in permutation], dtype, **q)
    cases.op(kind, [x, cases.numbers(permutation)], [y])


@draws("REVERSE_V2")
def reverse(cases: Cases, rng: Rng, kind: str) -> None:
    """One axis or neighbors, in any order, also counted from behind."""
    shape = shape_of_rank(rng, 1, 5)
    x, dtype, q = drawn(cases, rng, kind, shape)
    first = int(rng.integers(0, len(shape)))
    axes = rng.permutation(range(first, int(rng.integers(first, len(shape))) + 1))
    asked = [int(i) - (len(shape) if rng.random() < 0.3 else 0) for i in axes]
    cases.op(kind, [x, cases.numbers(asked)], [cases.result(shape, dtype, **q)])


@draws("TILE")
def tile(cases: Cases, rng: Rng, kind: str) -> None:
    """One to three copies along each axis."""
    shape = shape_of_rank(rng, 1, 4)
    x, dtype, q = drawn(cases, rng, kind, shape)
    multiples = rng.integers(1, 4, len(shape))
    y = cases.result(np.array(shape) * multiples, dtype, **q)
    cases.op(kind, [x, cases.numbers(multiples, str(rng.choice(["int32", "int64"])))], [y])


@draws("BROADCAST_TO")
def broadcast_to(cases: Cases, rng: Rng, kind: str) -> None:
    """Some axes of one, some axes missing."""
    shape = shape_of_rank(rng, 1, 5)
    own = [1 if rng.random() < 0.4 else n for n in shape][int(rng.integers(0, len(shape))):]
    x, dtype, q = drawn(cases, rng, kind, own)
    y = cases.result(shape, dtype, **q)
    cases.op(kind, [x, cases.numbers(shape, str(rng.choice(["int32", "int64"])))], [y])


@draws("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def blocks(cases: Cases, rng: Rng, kind: str) -> None:
    """Blocks of 1 to 3."""
    block = int(rng.integers(1, 4))
    n, h, w, c = (int(n) for n in rng.integers(1, 5, 4))
    small, large = [n, h, w, c * block * block], [n, h * block, w * block, c]
    before, after = (large, small) if kind == "SPACE_TO_DEPTH" else (small, large)
    x, dtype, q = drawn(cases, rng, kind, before)
    cases.op(kind, [x], [cases.result(after, dtype, **q)], BlockSize=block)


@draws("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
def spaces(cases: Cases, rng: Rng, kind: str) -> None:
    """Blocks of 1 to 3 along one axis or two, with padding or crops."""
    rank = int(rng.integers(1, 3))
    block = [int(b) for b in rng.integers(1, 4, rank)]
    n, c, *space = (int(m) for m in rng.integers(1, 5, 2 + rank))
    pads = [[int(p) for p in rng.integers(0, 3, 2)] for _ in block]
    whole = [m * b for m, b in zip(space, block, strict=True)]
    pads = [p if sum(p) < m else [0, 0] for p, m in zip(pads, whole, strict=True)]
    small = [n * int(np.prod(block)), *space, c]
    large = [n, *(m - sum(p) for m, p in zip(whole, pads, strict=True)), c]
    before, after = (large, small) if kind == "SPACE_TO_BATCH_ND" else (small, large)
    x, dtype, q = drawn(cases, rng, kind, before)
    cases.op(kind, [x, cases.numbers(block), cases.numbers(np.array(pads))],
             [cases.result(after, dtype, **q)])


@draws("CONCATENATION")
def concatenation(cases: Cases, rng: Rng, kind: str) -> None:
    """One to four parts, one perhaps constant; uint8 ones with scales of their own."""
    shape = shape_of_rank(rng, 1, 5)
    axis = int(rng.integers(0, len(shape)))
    first, dtype, q = drawn(cases, rng, kind, shape)
    parts, total = [first], shape[axis]
    for _ in range(int(rng.integers(0, 4))):
        size = int(rng.integers(1, 5))
        other = [*shape[:axis], size, *shape[axis + 1:]]
        own = quantized(rng, dtype) if dtype == "uint8" and rng.random() < 0.7 else q
        parts.append(cases.given(values(rng, other, dtype), bool(rng.random() < 0.2), **own))
        total += size
    result = quantized(rng, dtype) if dtype == "uint8" else q
    y = cases.result([*shape[:axis], total, *shape[axis + 1:]], dtype, **result)
    cases.op(kind, parts, [y], Axis=axis - len(shape) if rng.random() < 0.3 else axis)


@draws("PACK")
def pack(cases: Cases, rng: Rng, kind: str) -> None:
    """One to four tensors along any new axis."""
    shape = shape_of_rank(rng, 1, 4)
    first, dtype, q = drawn(cases, rng, kind, shape)
    parts = [first, *(cases.given(values(rng, shape, dtype), **q)
                      for _ in range(int(rng.integers(0, 4))))]
    axis = int(rng.integers(0, len(shape) + 1))
    y = cases.result([*shape[:axis], len(parts), *shape[axis:]], dtype, **q)
    cases.op(kind, parts, [y], ValuesCount=len(parts),
             Axis=axis - len(shape) - 1 if rng.random() < 0.3 else axis)


@draws("UNPACK")
def unpack(cases: Cases, rng: Rng, kind: str) -> None:
    """All slices along any axis."""
    shape = shape_of_rank(rng, 2, 4)
    x, dtype, q = drawn(cases, rng, kind, shape)
    axis = int(rng.integers(0, len(shape)))
    rest = [*shape[:axis], *shape[axis + 1:]]
    ys = [cases.result(rest, dtype, **q) for _ in range(shape[axis])]
    cases.op(kind, [x], ys, Num=len(ys),
             Axis=axis - len(shape) if rng.random() < 0.3 else axis)
