"""Transpositions that follow each other, as exporters cut maps into patches: one where that copies
less."""

from __future__ import annotations

import random
from math import prod

import numpy as np
import pytest
from builders.exactness import assert_equals_golden, kinds
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.plan.plan import Options, Plan
from kaniwa.compiler.rewrite.join_transpositions import composed, join_transpositions
from kaniwa.config import PRESETS
from kaniwa.graph import Graph


def transpose(b: GraphBuilder, x: int, order: tuple[int, ...]) -> int:
    shape = b.tensors[x].shape
    y = b.tensor(tuple(shape[axis] for axis in order), *b.steps(x))
    return b.op("TRANSPOSE", (x,), y, permutation=order)


def patches(again: bool = False) -> Graph:
    """A map of 8 x 8 pixels as 16 patches of 2 x 2, by the operators of PyTorch's exporter for
    MobileViT, whose maps have their channels in front; ``again``: the first one is read twice."""
    b = GraphBuilder(3)
    x = b.tensor((1, 8, 8, 16), 0.5, 3)
    channels_first = transpose(b, b.conv(x, 16, (1, 1)), (0, 3, 1, 2))
    rows = transpose(b, b.reshape(channels_first, (64, 2, 4, 2)), (0, 2, 1, 3))
    tokens = transpose(b, b.reshape(rows, (1, 16, 16, 4)), (0, 3, 2, 1))
    outputs = [b.conv(tokens, 8, (1, 1))]
    if again:
        outputs.append(b.softmax(channels_first))
    return b.graph((x,), tuple(outputs))


def test_common_axes_move_as_two_transpositions_do() -> None:
    rng, found = random.Random(1), 0
    for _ in range(2000):
        first = tuple(rng.choice([1, 2, 3, 4, 6]) for _ in range(rng.randint(1, 5)))
        second, left = list[int](), prod(first)
        while left > 1:
            second.append(rng.choice([n for n in range(2, left + 1) if left % n == 0]))
            left //= second[-1]
        second.insert(rng.randint(0, len(second)), 1)
        order, then = (tuple(rng.sample(range(len(s)), len(s))) for s in (first, second))
        once = composed(first, order, tuple(second), then)
        if once is None:
            continue
        data = np.arange(prod(first))
        wanted = data.reshape(first).transpose(order).reshape(second).transpose(then)
        np.testing.assert_array_equal(
            data.reshape(once[0]).transpose(once[1]).reshape(wanted.shape), wanted)
        found += 1
    assert found > 1000


def test_axes_without_a_common_one_stay_apart() -> None:
    assert composed((4, 9), (1, 0), (6, 6), (1, 0)) is None


def test_pixels_of_a_map_go_to_patches_whole() -> None:
    graph = patches()
    program = compile(graph, "base")
    assert_equals_golden(program, graph)
    moved = [layer for layer in program.layers if layer.op == "TRANSPOSE"]
    # Rows and patches change places, then columns of a patch and patches: never single bytes.
    assert len(moved) == 2
    assert kinds(compile(graph, "base", materialize=True)).count("TRANSPOSE") > 2


def test_a_third_one_counts_what_the_first_two_became() -> None:
    """Each of the three copies as much as what is left."""
    b = GraphBuilder(4)
    x = b.tensor((1, 2, 2, 2), 0.5, 3)
    y = b.conv(x, 2, (1, 1))
    for order in ((0, 2, 3, 1), (0, 2, 3, 1), (0, 3, 1, 2)):
        y = transpose(b, y, order)
    graph = b.graph((x,), (b.conv(y, 2, (2, 2)),))
    moved = join_transpositions(Plan(graph, graph, PRESETS["base"], Options())).graph.ops
    assert [op.kind for op in moved].count("TRANSPOSE") == 1
    assert_equals_golden(compile(graph, "base"), graph)


@pytest.mark.parametrize("target", ["base", "nano"])
def test_what_something_else_reads_is_made_too(target: str) -> None:
    graph = patches(again=True)
    assert_equals_golden(compile(graph, target), graph)
