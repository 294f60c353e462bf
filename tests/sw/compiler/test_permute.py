"""Channels that change places within their pixels."""

from __future__ import annotations

import pytest
from builders.exactness import assert_equals_golden, kinds
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.graph import Graph
from kaniwa.program.program import Program

STEPS = (0.5, 3)


def swapped(b: GraphBuilder, x: int, first: int, second: int) -> int:
    """Channels seen as [first, second], transposed: the shuffle of a ShuffleNet."""
    shape = b.tensors[x].shape
    apart = b.reshape(x, (*shape[:3], first, second))
    moved = b.op("TRANSPOSE", (apart,), b.tensor((*shape[:3], second, first), *b.steps(x)),
                 permutation=(0, 1, 2, 4, 3))
    return b.reshape(moved, shape)


def conv(b: GraphBuilder, x: int, channels: int, kernel: tuple[int, int] = (3, 3)) -> int:
    return b.requantized(b.conv(x, channels, kernel), *STEPS)


def assert_exact(graph: Graph, target: str = "base") -> Program:
    for materialize in (True, False):
        program = compile(graph, target, materialize=materialize)
        assert_equals_golden(program, graph)
    return program


@pytest.mark.parametrize("target", ["nano", "small", "base"])
@pytest.mark.parametrize("first, second", [(4, 4), (2, 12), (3, 5)])
def test_the_layer_before_makes_them_in_order(first: int, second: int, target: str) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 5, 4), *STEPS)
    graph = b.graph((x,), (swapped(b, conv(b, x, first * second), first, second),))
    program = assert_exact(graph, target)
    assert kinds(program) == ["CONV_2D+TRANSPOSE"]
    assert program.layers[0].source == (0, 2)


@pytest.mark.parametrize("first, second", [(4, 4), (2, 12), (3, 5)])
def test_layers_behind_read_them_in_order(first: int, second: int) -> None:
    """All that read them: of 1 x 1, of 3 x 3 with padding."""
    b = GraphBuilder()
    x = b.tensor((1, 6, 5, first * second), *STEPS)
    y = swapped(b, x, first, second)
    graph = b.graph((x,), (conv(b, y, 8, (1, 1)), conv(b, y, 12)))
    assert kinds(assert_exact(graph)) == ["CONV_2D"] * 2


def test_in_between_they_are_multiplied_by_ones() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 16, 16, 32), *STEPS)
    graph = b.graph((x,), (swapped(b, x, 2, 16),))
    program = assert_exact(graph)
    assert kinds(program) == ["TRANSPOSE"]
    assert estimate(program).cycles < 0.3 * 16 * 16 * 32      # a byte each otherwise


def test_wide_images_are_moved() -> None:
    """A matrix for all of their bytes would be gigabytes."""
    b = GraphBuilder()
    x = b.tensor((2, 256, 256), *STEPS)
    moved = b.op("TRANSPOSE", (x,), b.tensor((2, 256, 256), *STEPS), permutation=(0, 2, 1))
    graph = b.graph((x,), (moved,))
    (layer,) = compile(graph, "base", outside="ideal").layers
    assert layer.op == "TRANSPOSE"


def test_what_is_not_within_pixels_is_moved() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 5, 4), *STEPS)
    y = conv(b, x, 8)
    moved = b.op("TRANSPOSE", (y,), b.tensor((1, 8, 6, 5), *STEPS), permutation=(0, 3, 1, 2))
    graph = b.graph((x,), (moved,))
    assert kinds(assert_exact(graph)) == ["CONV_2D", "TRANSPOSE"]


def test_what_others_read_stays_in_its_order() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 5, 4), *STEPS)
    y = conv(b, x, 16)
    moved = swapped(b, y, 4, 4)
    graph = b.graph((x,), (b.add(y, moved), moved))
    assert "TRANSPOSE" in kinds(assert_exact(graph))


def test_a_sum_is_behind_channels_in_order() -> None:
    b = GraphBuilder()
    x, skip = b.tensor((1, 6, 5, 4), *STEPS), b.tensor((1, 6, 5, 16), *STEPS)
    summed = b.elementwise("ADD", swapped(b, conv(b, x, 16), 4, 4), skip, "NONE", *STEPS)
    graph = b.graph((x, skip), (summed,))
    assert kinds(assert_exact(graph)) == ["CONV_2D+TRANSPOSE+ADD"]


def test_a_depthwise_layer_has_its_channels_in_order() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 5, 16), *STEPS)
    y = b.pool(x, "MAX_POOL_2D", (3, 3), (1, 1), 1)
    graph = b.graph((x,), (swapped(b, y, 4, 4),))
    assert "TRANSPOSE" in kinds(assert_exact(graph))
