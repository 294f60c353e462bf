"""Random parts of tensors, and tensors with an edge around them."""

from __future__ import annotations

import numpy as np

from builders.operator_cases.cases import Cases, Rng, draws, values
from builders.operator_cases.movement import drawn, shape_of_rank

__all__: list[str] = []


@draws("SPLIT", "SPLIT_V")
def split(cases: Cases, rng: Rng, kind: str) -> None:
    """Into one to four parts, of one size or of several, one of which may be -1."""
    shape = shape_of_rank(rng, 1, 4)
    axis = int(rng.integers(0, len(shape)))
    sizes = [int(n) for n in rng.integers(1, 5, int(rng.integers(1, 5)))]
    if kind == "SPLIT":
        sizes = [sizes[0]] * len(sizes)
    shape[axis] = sum(sizes)
    x, dtype, q = drawn(cases, rng, kind, shape)
    ys = [cases.result([*shape[:axis], n, *shape[axis + 1:]], dtype, **q) for n in sizes]
    at = cases.numbers(np.array(axis - len(shape) if rng.random() < 0.3 else axis))
    if kind == "SPLIT":
        cases.op(kind, [at, x], ys, NumSplits=len(ys))
    else:
        if rng.random() < 0.3:
            sizes[int(rng.integers(0, len(sizes)))] = -1
        cases.op(kind, [x, cases.numbers(sizes), at], ys, NumSplits=len(ys))


@draws("SLICE")
def slice_(cases: Cases, rng: Rng, kind: str) -> None:
    """Any box of up to five axes."""
    shape = shape_of_rank(rng, 1, 5)
    x, dtype, q = drawn(cases, rng, kind, shape)
    begin = [int(rng.integers(0, n)) for n in shape]
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    y = cases.result(size, dtype, **q)
    asked = [-1 if b + s == n and rng.random() < 0.5 else s
             for b, s, n in zip(begin, size, shape, strict=True)]
    integer = str(rng.choice(["int32", "int64"]))
    cases.op(kind, [x, cases.numbers(begin, integer), cases.numbers(asked, integer)], [y])


@draws("STRIDED_SLICE")
def strided_slice(cases: Cases, rng: Rng, kind: str) -> None:
    """Steps in both directions, bounds counted from behind or left out, axes dropped."""
    shape = shape_of_rank(rng, 1, 4)
    masks, spec, result = [0, 0, 0], [], []
    for i, n in enumerate(shape[:int(rng.integers(1, len(shape) + 1))]):
        if rng.random() < 0.25:
            at = int(rng.integers(-n, n))
            masks[2] |= 1 << i
            spec.append((at, at + 1, 1))
            continue
        while True:
            step = int(rng.choice([1, 1, 2, 3, -1, -2]))
            ends = [int(e) for e in rng.integers(-n - 2, n + 3, 2)]
            free = [bool(rng.random() < 0.3) for _ in ends]
            taken = range(n)[slice(*(None if f else e for f, e in zip(free, ends, strict=True)),
                                   step)]
            if len(taken):
                break
        masks[0] |= free[0] << i
        masks[1] |= free[1] << i
        spec.append((*ends, step))
        result.append(len(taken))
    x, dtype, q = drawn(cases, rng, kind, shape)
    y = cases.result([*result, *shape[len(spec):]], dtype, **q)
    operands = [cases.numbers(numbers) for numbers in zip(*spec, strict=True)]
    cases.op(kind, [x, *operands], [y], BeginMask=masks[0], EndMask=masks[1],
             ShrinkAxisMask=masks[2])


@draws("GATHER")
def gather(cases: Cases, rng: Rng, kind: str) -> None:
    """Any axis, indices of up to two axes, sometimes with batch dimensions."""
    shape = shape_of_rank(rng, 1, 4)
    axis = int(rng.integers(0, len(shape)))
    batch = int(rng.integers(0, axis + 1)) if rng.random() < 0.4 else 0
    x, dtype, q = drawn(cases, rng, kind, shape)
    several = [*shape[:batch], *(int(n) for n in rng.integers(1, 5, int(rng.integers(1, 3))))]
    integer = str(rng.choice(["int32", "int64"]))
    at = cases.given(rng.integers(0, shape[axis], several).astype(integer),
                     bool(rng.random() < 0.5))
    y = cases.result([*shape[:axis], *several[batch:], *shape[axis + 1:]], dtype, **q)
    cases.op(kind, [x, at], [y], BatchDims=batch,
             Axis=axis - len(shape) if batch == 0 and rng.random() < 0.3 else axis)


@draws("GATHER_ND")
def gather_nd(cases: Cases, rng: Rng, kind: str) -> None:
    """Indices of one to all axes."""
    shape = shape_of_rank(rng, 1, 4)
    x, dtype, q = drawn(cases, rng, kind, shape)
    depth = int(rng.integers(1, len(shape) + 1))
    several = [int(n) for n in rng.integers(1, 5, int(rng.integers(1, 3)))]
    integer = str(rng.choice(["int32", "int64"]))
    indices = np.stack([rng.integers(0, n, several) for n in shape[:depth]], axis=-1)
    at = cases.given(indices.astype(integer), bool(rng.random() < 0.5))
    cases.op(kind, [x, at], [cases.result([*several, *shape[depth:]], dtype, **q)])


@draws("PAD", "PADV2", "MIRROR_PAD")
def pad(cases: Cases, rng: Rng, kind: str) -> None:
    """Up to three more at both ends of each axis."""
    shape = shape_of_rank(rng, 1, 4)
    x, dtype, q = drawn(cases, rng, kind, shape)
    paddings = rng.integers(0, 4, (len(shape), 2))
    more, options = [], {}
    if kind == "MIRROR_PAD":
        mode = int(rng.integers(0, 2))      # 0 leaves the edge itself out
        paddings = np.minimum(paddings, np.array(shape)[:, None] - (1 - mode))
        options = {"Mode": mode, "options_type": "MirrorPadOptions"}
    if kind == "PADV2":
        more = [cases.given(values(rng, (1,), dtype), bool(rng.random() < 0.5), **q)]
    y = cases.result(np.array(shape) + paddings.sum(axis=1), dtype, **q)
    integer = str(rng.choice(["int32", "int64"]))
    cases.op(kind, [x, cases.numbers(paddings, integer), *more], [y], **options)
