"""Slices of channels that are read where they lie, and shuffled ones that dense layers pick."""

from __future__ import annotations

import pytest
from builders.exactness import assert_equals_golden, kinds
from builders.graphs.graph_builder import GraphBuilder
from builders.networks.random_cuts import cut, random_cuts, shuffled

from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.graph import Graph


@pytest.mark.parametrize("target", ["base", "large", "small", "nano"])
def test_random_networks_are_exact(target: str) -> None:
    for seed in range(12):
        graph = random_cuts(seed)
        program = compile(graph, target, outside=None if target == "nano" else "ideal")
        assert not program.host_ops
        assert_equals_golden(program, graph, 1)


def halves(kernel: int, *, results: bool = False) -> Graph:
    """A map cut in two, with a convolution of each half."""
    b = GraphBuilder()
    x = b.tensor((1, 12, 12, 64))
    y = b.conv(x, 64, (1, 1))
    parts = [cut(b, y, 0, 32), cut(b, y, 32, 64)]
    return b.graph((x,), (*(b.conv(part, 32, (kernel, kernel)) for part in parts),
                          *(parts if results else ())))


@pytest.mark.parametrize("kernel", [1, 3])
def test_convolutions_read_their_half_of_each_pixel(kernel: int) -> None:
    graph = halves(kernel)
    program = compile(graph, "base")
    assert kinds(program) == ["CONV_2D"] * 3
    assert_equals_golden(program, graph)
    # Products of their own channels alone: 12 x 12 pixels, 4 blocks, 2 chunks of 16.
    least = 144 * (8 * 4 + 2 * 4 * 2 * kernel ** 2)
    assert least < estimate(program).cycles < 1.05 * least + 400


def test_a_half_that_is_a_result_is_copied() -> None:
    graph = halves(3, results=True)
    assert kinds(compile(graph, "base")).count("STRIDED_SLICE") == 2
    assert_equals_golden(compile(graph, "base"), graph)


def test_what_is_joined_again_is_copied_once() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 12, 12, 32), 0.1, 3)
    y = b.requantized(b.conv(x, 32, (1, 1)), 0.1, 3)
    left, right = cut(b, y, 0, 16), cut(b, y, 16, 32)
    made = b.requantized(b.conv(right, 16, (1, 1)), 0.1, 3)
    joined = b.op("CONCATENATION", (left, right, made), b.tensor((1, 12, 12, 48), 0.1, 3), axis=3)
    graph = b.graph((x,), (b.conv(joined, 8, (1, 1)),))
    program = compile(graph, "base")
    assert "STRIDED_SLICE" not in kinds(program)
    assert_equals_golden(program, graph)


@pytest.mark.parametrize("target", ["base", "large"])
def test_a_shuffle_goes_into_what_reads_parts_of_it(target: str) -> None:
    """A block of ShuffleNet V2: a half passes by, the other one is convolved."""
    b = GraphBuilder()
    x = b.tensor((1, 10, 10, 48), 0.1, 3)
    y = shuffled(b, x, 2)
    left, right = cut(b, y, 0, 24), cut(b, y, 24, 48)
    made = b.requantized(b.conv(b.conv(right, 24, (1, 1)), 24, depthwise=1), 0.1, 3)
    joined = b.op("CONCATENATION", (left, made), b.tensor((1, 10, 10, 48), 0.1, 3), axis=3)
    graph = b.graph((x,), (b.conv(shuffled(b, joined, 2), 8, (1, 1)),))
    program = compile(graph, target)
    assert "TRANSPOSE" not in kinds(program)
    assert not {"CONCATENATION", "STRIDED_SLICE"}.intersection(kinds(program))
    assert_equals_golden(program, graph)
