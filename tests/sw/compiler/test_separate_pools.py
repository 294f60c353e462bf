"""Maxima along rows, and along columns of these."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders.exactness import assert_equals_golden
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.program.program import Program

SIZES = [((5, 5), (1, 1), 2), ((3, 3), (1, 1), 1), ((9, 9), (1, 1), 4), ((3, 5), (1, 1), 1),
         ((5, 5), (2, 2), 2), ((3, 3), (2, 2), 1), ((4, 4), (1, 2), 0), ((2, 2), (2, 2), 0)]


def pooled(window: tuple[int, int], stride: tuple[int, int], pad: int, channels: int) -> Graph:
    b = GraphBuilder()
    x = b.tensor((2, 13, 11, channels))
    return b.graph((x,), (b.pool(x, "MAX_POOL_2D", window, stride, pad),))


@pytest.mark.parametrize("target", ["small", "base", "large"])
@pytest.mark.parametrize("window, stride, pad", SIZES)
def test_two_layers_where_these_take_fewer_cycles(window: tuple[int, int], stride: tuple[int, int],
                                                  pad: int, target: str) -> None:
    graph = pooled(window, stride, pad, 16)
    program, whole = compile(graph, target), compile(graph, target, materialize=True)
    assert_equals_golden(program, graph)
    assert_equals_golden(whole, graph)
    assert len(whole.layers) == 1
    if (window, stride) != ((3, 3), (2, 2)):      # of which either may be, as lanes are filled
        assert len(program.layers) == 1 + (window != (2, 2))
    if len(program.layers) == 2:
        assert {layer.source for layer in program.layers} == {(0,)}
        assert estimate(program).cycles < estimate(whole).cycles


def test_spatial_pyramid_takes_steps_by_side_not_by_area() -> None:
    """Three windows of 5 x 5 in a row, as YOLO has them."""
    b = GraphBuilder()
    x = y = b.tensor((1, 20, 20, 32))
    for _ in range(3):
        y = b.pool(y, "MAX_POOL_2D", (5, 5), (1, 1), 2)
    graph = b.graph((x,), (y,))
    program = compile(graph, "base")
    assert_equals_golden(program, graph)
    assert estimate(program).cycles < 0.45 * estimate(compile(graph, "base",
                                                              materialize=True)).cycles


def test_one_layer_where_memory_is_too_small() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 20, 20, 16))
    y = b.pool(x, "MAX_POOL_2D", (5, 5), (1, 1), 2)
    graph = b.graph((x,), (y, b.conv(x, 4)))
    found = [program for kib in range(16, 48) if (program := _within(graph, kib)) is not None]
    assert [len(program.layers) for program in (found[0], found[-1])] == [2, 3]
    for program in (found[0], found[-1]):
        assert_equals_golden(program, graph)


def _within(graph: Graph, kib: int) -> Program | None:
    try:
        return compile(graph, replace(PRESETS["base"], memory_bytes=kib * 1024))
    except CompileError:
        return None


def test_a_table_and_a_sum_come_behind_the_second() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 13, 11, 16))
    y = b.pool(x, "MAX_POOL_2D", (5, 5), (1, 1), 2)
    z = b.elementwise("MUL", b.pool(x, "MAX_POOL_2D", (5, 5), (1, 1), 2), b.constant(40))
    graph = b.graph((x,), (b.add(y, x), z))
    program = compile(graph, "base")
    assert sorted(layer.op for layer in program.layers) == [
        "MAX_POOL_2D+ADD", "MAX_POOL_2D+ADD", "MAX_POOL_2D+MUL", "MAX_POOL_2D+MUL"]
    assert_equals_golden(program, graph)
