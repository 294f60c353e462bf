"""Grouped convolutions on the array, exact against golden."""

from __future__ import annotations

import numpy as np
import pytest
from builders.exactness import assert_equals_golden
from builders.graphs.graph_builder import GraphBuilder
from builders.networks.random_groups import grouped, random_groups

from kaniwa.compiler.array.groups import at_once, side_by_side
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate


@pytest.mark.parametrize("target", ["base", "large", "small", "nano"])
def test_random_networks_are_exact_and_the_host_has_what_no_line_buffer_holds(target: str) -> None:
    for seed in range(10):
        graph = random_groups(seed)
        program = compile(graph, target, outside=None if target == "nano" else "ideal")
        assert all("line buffer" in op.why for op in program.host_ops), seed
        assert target in ("small", "nano") or not program.host_ops
        assert_equals_golden(program, graph)


def test_a_grouped_convolution_takes_a_part_of_the_cycles_of_a_dense_one() -> None:
    cycles = []
    for groups in (1, 4, 8):
        b = GraphBuilder()
        x = b.tensor((1, 20, 20, 128))
        program = compile(b.graph((x,), (grouped(b, x, groups, 128),)), "base", outside="ideal")
        cycles.append(estimate(program).cycles)
        assert sum(layer.macs for layer in program.layers) == 400 * 9 * 128 * 128 // groups
    assert cycles[0] == pytest.approx(400 * 9 * 128, rel=0.02)
    assert cycles[1] < cycles[0] / 3.8
    assert cycles[2] < cycles[0] / 7


def test_weights_are_in_memory_once() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 128))
    program = compile(b.graph((x,), (grouped(b, x, 4, 128),)), "base")
    assert 0.9 * program.weights < program.weight_bytes < 1.2 * program.weights


def test_a_multiplier_of_channels_does_not_multiply_with_all_channels() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 16, 16, 64))
    program = compile(b.graph((x,), (b.conv(x, 128, depthwise=2),)), "base")
    # 16 channels at once are 32 results, four blocks of nine taps each.
    assert estimate(program).cycles < 1.1 * 256 * 4 * 4 * 9


def test_groups_side_by_side_are_the_dense_weights_of_each_part() -> None:
    weights = np.arange(1, 6 * 2 * 3 * 2 + 1, dtype=np.int16).reshape(6, 2, 3, 2)
    whole, = side_by_side(weights, 3, 3)
    for part, (number, dense) in zip(range(3), enumerate(side_by_side(weights, 3, 1)), strict=True):
        own, channels = slice(2 * part, 2 * part + 2), slice(2 * number, 2 * number + 2)
        np.testing.assert_array_equal(dense, weights[own])
        np.testing.assert_array_equal(whole[own, ..., channels], weights[own])
    assert np.count_nonzero(whole) == weights.size


@pytest.mark.parametrize(("shape", "groups", "results", "count"), [
    ((128, 3, 3, 8), 16, (20, 20), 2),      # 16 channels are what a dot product has
    ((128, 3, 3, 16), 8, (20, 20), 1),
    ((8, 1, 1, 4), 2, (1, 1), 2),           # one instruction in place of two
    ((64, 1, 1, 1), 64, (50, 50), 32)])     # else a map is read more often than that takes
def test_as_many_groups_at_once_as_take_the_fewest_cycles(
        shape: tuple[int, ...], groups: int, results: tuple[int, int], count: int) -> None:
    assert at_once(shape, groups, results, (1, 1), 256, PRESETS["base"]) == count
