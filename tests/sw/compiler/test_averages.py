"""Averages: over whole maps in groups of channels that load ahead; with ties of six."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.benchmark.networks.network import Network
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
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


@pytest.mark.parametrize("target", ["base", "small", "nano"])
@pytest.mark.parametrize("window, stride, pad", [
    ((3, 3), 1, 1), ((3, 3), 2, 1), ((2, 3), 1, 0), ((6, 6), 1, 0), ((5, 5), 1, 2),
    ((14, 14), 1, 0), ((14, 15), 1, 1)])
def test_means_between_equal_steps_are_half_to_even(
        window: tuple[int, int], stride: int, pad: int, target: str) -> None:
    """Of 6, 12 or 196 values, as quantisers of ONNX leave pools: no multiplier has such ties."""
    for seed in range(3):
        b = GraphBuilder(seed)
        shape = (2, max(9, window[0]), max(7, window[1] - 2 * pad), 12)
        x = b.tensor(shape, float(np.float32(b.rng.uniform(0.01, 0.1))),
                     int(b.rng.integers(-128, 128)))
        y = b.pool(x, "AVERAGE_POOL_2D", window, (stride, stride), pad)
        b.ops[-1] = replace(b.ops[-1], rule="qdq", attributes={
            **b.ops[-1].attributes, "count_padding": False, "bounds": (-100, 127)})
        graph = b.graph((x,), (y,))
        program = compile(graph, target, require_accelerator=True)
        session = Session(program, devices.open("emulator", target))
        for low, high in ((-128, 128), (-3, 4), (120, 128), (-128, -120)):
            value = b.rng.integers(low, high, shape).astype(np.int8)
            (got,) = session.run([value]).values()
            np.testing.assert_array_equal(got, golden.run(graph, [value])[y])


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_means_of_large_maps_between_equal_steps_are_half_to_even(target: str) -> None:
    """More values than the line buffer holds, in blocks of channels."""
    b = GraphBuilder(3)
    x = b.tensor((1, 28, 30, 12), float(np.float32(0.037)), 5)
    y = b.pool(x, "AVERAGE_POOL_2D", (28, 30), (1, 1), 0)
    b.ops[-1] = replace(b.ops[-1], rule="qdq", attributes={
        **b.ops[-1].attributes, "count_padding": False, "bounds": (-128, 127)})
    graph = b.graph((x,), (y,))
    session = Session(compile(graph, target, require_accelerator=True),
                      devices.open("emulator", target))
    for half in range(-3, 4):      # ties in channels of either parity
        value = np.full((1, 28, 30, 12), 5, np.int8)
        value.reshape(840, 12)[:420] += np.int8(2 * half + 1)
        value.reshape(840, 12)[:, 6:] += 1
        (got,) = session.run([value]).values()
        np.testing.assert_array_equal(got, golden.run(graph, [value])[y])


@pytest.mark.parametrize("shape", [(1, 96, 90, 16), (2, 95, 90, 8), (1, 128, 128, 11),
                                   (1, 255, 255, 2)])
@pytest.mark.parametrize("kind, rule", [
    ("AVERAGE_POOL_2D", "litert_average_pool"), ("AVERAGE_POOL_2D", "litert_uint8_average_pool"),
    ("AVERAGE_POOL_2D", "qdq"), ("MEAN", "litert_mean"), ("MEAN", "qdq"), ("SUM", "qdq")])
def test_averages_of_more_than_blocks_hold_are_sums_of_parts(
        kind: str, rule: str, shape: tuple[int, ...]) -> None:
    b = GraphBuilder(5)
    zero = int(b.rng.integers(-128, 128))
    scale = float(np.float32(0.05))
    x = b.tensor(shape, scale, zero)
    images, rows, columns, channels = shape
    if kind == "AVERAGE_POOL_2D":
        y = b.pool(x, kind, (rows, columns), (1, 1), 0)
        more = {"count_padding": False, "bounds": (-128, 127)} if rule == "qdq" else {}
        b.ops[-1] = replace(b.ops[-1], rule=rule, attributes={**b.ops[-1].attributes, **more})
    else:
        scale *= 1.07 * (rows * columns if kind == "SUM" else 1)
        y = b.op(kind, (x,), b.tensor((images, channels), scale, 3), rule, axes=(1, 2),
                 keep_dims=False, bounds=(-128, 127))
    graph = b.graph((x,), (y,))
    session = Session(compile(graph, "base_vector", require_accelerator=True),
                      devices.open("emulator", "base_vector"))
    seen = set()
    for low, high in ((-128, 128), (-128, -127), (127, 128), (-3, 4), (120, 128), (-90, -60)):
        value = b.rng.integers(low, high, shape).astype(np.int8)
        value[..., 0] = low
        (got,) = session.run([value]).values()
        expected = golden.run(graph, [value])[y]
        np.testing.assert_array_equal(got, expected)
        seen |= {*expected.ravel().tolist()}
    assert len(seen) > 7


@pytest.mark.parametrize("scale", [0.05, 0.1, 2.8473])     # 0.05: that of what is summed
@pytest.mark.parametrize("shape", [(1, 600, 40), (2, 700, 12)])
def test_sums_of_more_than_the_line_buffer_holds_are_not_divided(shape: tuple[int, ...],
                                                                 scale: float) -> None:
    b = GraphBuilder(4)
    x = b.tensor(shape, 0.05, -79)
    y = b.op("SUM", (x,), b.tensor((shape[0], shape[2]), scale, -81), "qdq", axes=(1,),
             bounds=(-128, 127))
    graph = b.graph((x,), (y,))
    for target in ("base", "small", "nano"):
        program = compile(graph, target, require_accelerator=True)
        session = Session(program, devices.open("emulator", target))
        value = (b.rng.integers(-2, 3, shape) - 79).astype(np.int8)
        (got,) = session.run([value]).values()
        expected = golden.run(graph, [value])[y]
        assert 1 < np.unique(expected).size and expected.max() < 127
        np.testing.assert_array_equal(got, expected)
