"""Averages over whole maps: cut into groups of channels that load ahead, and few weights."""

from __future__ import annotations

import pytest

from kaniwa.benchmark.networks.network import Network
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff


@pytest.mark.parametrize("target, size, channels, most", [
    ("base", 14, 1000, 26_000),     # 40,000 where a group's bytes wait for the group before
    ("large", 14, 1000, 26_000),
    ("base", 7, 576, 3_900),        # 8,400 where each group reads all channels
    ("large", 7, 576, 5_000),
    ("large", 7, 1280, 11_000)])    # 32,000 by columns, for their weights
def test_an_average_takes_little_more_than_its_reads_or_steps(
        target: str, size: int, channels: int, most: int) -> None:
    network = Network("average", 1)
    image = network.input(1, size, size, 16)
    mean = network.global_average(network.conv(image, channels, 1))
    graph = network.file((image,), (network.fully_connected(mean, 16),)).graph
    program = compile(graph, target, outside="ideal", require_accelerator=True)
    counted = {layer.tag: layer.cycles for layer in estimate(program).per_tag(
        [layer.tag for layer in program.layers])}
    assert sum(counted[layer.tag] for layer in program.layers
               if layer.op == "AVERAGE_POOL_2D") < most
    found = diff(program, ["golden", "emulator"], random_input(graph, 1))
    assert found["first_difference"] is None
