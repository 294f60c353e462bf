"""Layers whose bytes are read or written in another order, on simulated cores: transpositions, and
a MUL whose taps are all the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph, Tensor


def turned() -> Graph:
    """Heads that are split, and all bytes exchanged; what reads them may not run ahead."""
    b = GraphBuilder(1)
    x = b.tensor((1, 9, 3, 16))
    heads = b.op("TRANSPOSE", (x,), b.tensor((1, 3, 9, 16)), permutation=(0, 2, 1, 3))
    y = b.conv(heads, 8, (1, 1))
    z = b.op("TRANSPOSE", (y,), b.tensor((1, 8, 3, 9), *b.steps(y)), permutation=(0, 3, 1, 2))
    return b.graph((x,), (y, z))


def headed() -> Graph:
    """A dense layer that writes its channels in runs, and what reads them."""
    b = GraphBuilder(3)
    x = b.tensor((1, 3, 8, 40))
    heads = b.split_heads(x, 4, 16)
    return b.graph((x,), (b.conv(heads, 8, (1, 1)),))


def gained() -> Graph:
    """The sums of three weights, and of one."""
    b = GraphBuilder(2)
    x = b.tensor((1, 3, 7, 24), 0.1, -17)
    gains = b.rng.integers(-128, 128, 24).astype(np.int8)
    gains[0] = 127
    y = b.elementwise("MUL", x, b.tensor((24,), 0.02, -128, gains), scale=0.2)
    z = b.elementwise("ADD", y, b.tensor((24,), 0.1, 5, b.rng.integers(-128, 128, 24, np.int8)))
    return b.graph((x,), (z, b.elementwise("MUL", x, b.tensor((24,), 0.02, 0, gains), scale=0.2)))


def resized() -> Graph:
    """Around and between what is there: a PAD that is moved, larger maps, and blocks of pixels."""
    b = GraphBuilder(4)
    x = b.tensor((1, 4, 6, 11))
    wide = b.op("PAD", (x,), b.tensor((1, 8, 9, 11)), paddings=((0, 0), (3, 1), (1, 2), (0, 0)))
    y = b.conv(wide, 8, (1, 1))
    z = b.op("RESIZE_NEAREST_NEIGHBOR", (y,), b.tensor((1, 16, 21, 8), *b.steps(y)),
             align_corners=False, half_pixel_centers=False)
    z = b.op("RESIZE_BILINEAR", (z,), b.tensor((1, 32, 42, 8), *b.steps(y)), "litert_bilinear",
             align_corners=False, half_pixel_centers=True)
    deep = b.op("SPACE_TO_DEPTH", (x,), b.tensor((1, 2, 3, 44)), block=2)
    pixel = b.op("PAD", (deep,), b.tensor((1, 2, 3, 130)), paddings=((0, 0),) * 3 + ((20, 66),))
    return b.graph((x,), (z, b.conv(pixel, 8, (1, 1))))


def transposed() -> Graph:
    """Kernels larger and smaller than their strides; the latter leave results that are biases."""
    b = GraphBuilder(5)
    x = b.tensor((1, 4, 5, 11))
    y = b.transpose_conv(b.transpose_conv(x, 9), 19, (2, 4), (1, 3), same=False)
    return b.graph((x,), (y, b.transpose_conv(x, 8, (2, 1), (3, 2))))


def averaged() -> Graph:
    """Means with padding, by columns and tap by tap."""
    b = GraphBuilder(6)
    x = b.tensor((1, 7, 8, 16))
    y = b.pool(x, "AVERAGE_POOL_2D", (3, 3), pad=1)
    return b.graph((x,), (b.pool(y, "AVERAGE_POOL_2D", (3, 2), (2, 2), pad=1), b.conv(y, 4)))


def averaged_in_blocks() -> Graph:
    """A mean of more than the line buffer holds."""
    b = GraphBuilder(7)
    x = b.tensor((1, 24, 26, 16))
    return b.graph((x,), (b.pool(x, "AVERAGE_POOL_2D", (24, 26)),))


def averaged_in_parts() -> Graph:
    """A mean of more than blocks of channels make room for."""
    b = GraphBuilder(9)
    x = b.tensor((1, 84, 100, 8))
    return b.graph((x,), (b.pool(x, "AVERAGE_POOL_2D", (84, 100)),))


def placed() -> Graph:
    """Places of the first largest values, of few different ones."""
    b = GraphBuilder(8)
    x = b.tensor((1, 3, 5, 21))
    y = b.conv(x, 21, (1, 1))
    b.tensors.append(Tensor(len(b.tensors), "places", (1, 3, 5), "int32"))
    z = b.op("ARG_MAX", (y,), len(b.tensors) - 1, axis=3)
    return b.graph((x,), (z, b.conv(b.relu(y), 8, (1, 1))))


@pytest.mark.parametrize(("target", "make"), [
    ("base", placed), ("small", placed),
    ("small", averaged_in_blocks), ("base_vector", averaged_in_parts),
    ("base", averaged), ("small", averaged), ("nano", averaged),
    ("base", transposed), ("small", transposed), ("nano", transposed),
    ("base", resized), ("small", resized), ("nano", resized),
    ("base", turned), ("small", turned), ("nano", turned), ("base", headed), ("small", headed),
    ("base", gained), ("small", gained)])
def test_equals_golden(target: str, make: Callable[[], Graph]) -> None:
    graph = make()
    program = compile(graph, target, require_accelerator=True)
    shape = graph.tensors[graph.inputs[0]].shape
    with devices.open("sim", target) as device:
        session = Session(program, device)
        for seed in range(2):
            x = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
            values, outputs = golden.run(graph, [x]), session.run([x])
            for i in graph.outputs:
                np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])
            error = abs(session.stats.cycles - estimate(program).cycles)
            assert error <= 0.01 * session.stats.cycles
