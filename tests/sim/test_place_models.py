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
from kaniwa.graph import Graph


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


@pytest.mark.parametrize(("target", "make"), [
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
