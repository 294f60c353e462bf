"""Random networks of joined tensors, with functions of one tensor and tables that several read."""

from __future__ import annotations

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph
from kaniwa.program.program import Program

__all__ = ["copies_left_out", "random_joins"]

STEPS = (0.1, 3)      # of all operands of a join, and of its result


def random_joins(seed: int) -> Graph:
    """Three to five layers side by side, joined along any axis, twice; some of them are read by
    others too."""
    b = GraphBuilder(seed)
    size = int(b.rng.integers(3, 8)), int(b.rng.integers(2, 8))
    x = b.tensor((1, *size, int(b.rng.choice([4, 8, 13, 16]))), *STEPS)
    joined, results = x, []
    for _ in range(2):
        axis = int(b.rng.choice([3, 3, 3, 1, 2]))
        joined, more = _joined(b, joined, axis)
        results += more
    return b.graph((x,), (*results, _conv(b, joined, 6, 1)))


def copies_left_out(program: Program) -> int:
    """The layers that write an operand of a join in its place."""
    return sum(layer.op.endswith("+CONCATENATION") for layer in program.layers)


def _joined(b: GraphBuilder, x: int, axis: int) -> tuple[int, list[int]]:
    channels = [int(n) for n in b.rng.choice([1, 3, 8, 12, 16, 24], int(b.rng.integers(3, 6)))]
    parts = [_part(b, x, n if axis == 3 else channels[0]) for n in channels]
    results = [part for part in parts if b.rng.random() < 0.15]
    shape = list(b.tensors[parts[0]].shape)
    shape[axis] = sum(b.tensors[part].shape[axis] for part in parts)
    return b.op("CONCATENATION", tuple(parts), b.tensor(tuple(shape), *STEPS), axis=axis), results


def _part(b: GraphBuilder, x: int, channels: int) -> int:
    """A layer of a random kind, or several."""
    near = _conv(b, x, channels, int(b.rng.choice([1, 3])))
    match int(b.rng.integers(6)):
        case 0:
            return b.op("MAX_POOL_2D", (near,), b.tensor(b.tensors[near].shape, *STEPS),
                        filter=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1)), activation="NONE")
        case 1:
            return _of_two(b, "MUL", near, _function(b, "LOGISTIC", near))
        case 2:
            return _of_two(b, "ADD", near, _conv(b, x, channels, 1))
        case 3:      # a table that a difference and a sum read
            inner = _function(b, "TANH", _of_two(b, "ADD", near, _conv(b, x, channels, 1)))
            return _of_two(b, "SUB", _of_two(b, "ADD", inner, near), inner)
        case _:
            return near


def _conv(b: GraphBuilder, x: int, channels: int, size: int) -> int:
    return b.requantized(b.conv(x, channels, (size, size)), *STEPS)


def _function(b: GraphBuilder, kind: str, x: int) -> int:
    steps = (1 / 256, -128) if kind == "LOGISTIC" else (1 / 128, 0)
    return b.op(kind, (x,), b.tensor(b.tensors[x].shape, *steps), "litert_table")


def _of_two(b: GraphBuilder, kind: str, first: int, second: int) -> int:
    return b.elementwise(kind, first, second, "NONE", *STEPS)
