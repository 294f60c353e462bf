"""PAD in front of windows: a part of the layer behind it where that is exact, else moved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.program.program import Program

Window = Callable[[GraphBuilder, int], int]
AROUND = ((0, 0), (1, 1), (1, 1), (0, 0))


def pad(b: GraphBuilder, x: int, paddings: tuple[tuple[int, int], ...] = AROUND,
        value: int | None = None) -> int:
    """A PAD, or a PADV2 with a ``value``."""
    shape = tuple(n + sum(p) for n, p in zip(b.tensors[x].shape, paddings, strict=True))
    y = b.tensor(shape, *b.steps(x))
    if value is None:
        return b.op("PAD", (x,), y, paddings=paddings)
    fill = b.tensor((1,), *b.steps(x), np.array([value], np.int8))
    return b.op("PADV2", (x, fill), y, paddings=paddings)


def average(b: GraphBuilder, x: int) -> int:
    return b.pool(x, "AVERAGE_POOL_2D", (3, 3), (2, 2))


def maximum(b: GraphBuilder, x: int) -> int:
    return b.pool(x, "MAX_POOL_2D", (3, 3), (2, 2))


def case(window: Window, zero_point: int = 3, value: int | None = None,
         paddings: tuple[tuple[int, int], ...] = AROUND, again: bool = False) -> Graph:
    """A PAD of a map with a window behind it, and ``again`` another reader."""
    b = GraphBuilder(5)
    x = b.tensor((1, 7, 9, 8), 0.5, zero_point)
    padded = pad(b, x, paddings, value)
    y = window(b, padded)
    others = (b.conv(padded, 4, (1, 1)),) if again else ()
    return b.graph((x,), (y, *others))


def assert_exact(program: Program, graph: Graph) -> None:
    session = Session(program, devices.open("emulator", program.config))
    for seed in range(2):
        x = np.random.default_rng(seed).integers(-128, 128, (1, 7, 9, 8)).astype(np.int8)
        values, outputs = golden.run(graph, [x]), session.run([x])
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])


FOLDED = {
    "a convolution": case(lambda b, x: b.conv(x, 5, (3, 3), (2, 2), pad=0)),
    "a convolution with padding of its own": case(lambda b, x: b.conv(x, 5, (5, 5), pad=2)),
    "a depthwise convolution": case(lambda b, x: b.conv(x, 8, (3, 3), pad=0, depthwise=1)),
    "an average": case(average),
    "a maximum of what is not below zero": case(maximum, -128),
    "a maximum of the smallest value": case(maximum, 3, -128),
    "uneven padding": case(lambda b, x: b.conv(x, 5, (3, 3), (2, 2), pad=0),
                           paddings=((0, 0), (0, 1), (0, 1), (0, 0))),
}
MOVED = {
    "a maximum": case(maximum),
    "another value": case(lambda b, x: b.conv(x, 5, (3, 3), pad=0), 3, 4),
    "a window that sees padding alone": case(lambda b, x: b.conv(x, 5, (1, 1))),
    "padded channels": case(lambda b, x: b.conv(x, 5, (3, 3)),
                            paddings=((0, 0), (0, 0), (1, 1), (0, 8))),
    "another reader": case(lambda b, x: b.conv(x, 5, (3, 3), pad=0), again=True),
}


@pytest.mark.parametrize("target", ["base", "small", "nano"])
@pytest.mark.parametrize("name", [*FOLDED, *MOVED])
def test_padding_equals_golden(name: str, target: str) -> None:
    graph = (FOLDED | MOVED)[name]
    program = compile(graph, target)
    if target != "nano":      # which has no maximum
        assert not program.host_ops
        layers = {layer.source for layer in program.layers if layer.op != "SPACED"}
        assert len(layers) == (1 if name in FOLDED else len(graph.ops))
    assert_exact(program, graph)


def test_the_layer_names_the_operators_that_it_does() -> None:
    (layer,) = compile(FOLDED["a convolution"], "base").layers
    assert layer.source == (1, 0) and layer.op == "CONV_2D"


def test_every_tensor_is_there_where_all_are_asked_for() -> None:
    graph = FOLDED["a convolution"]
    program = compile(graph, "base", materialize=True)
    assert [layer.op for layer in program.layers] == ["PAD", "CONV_2D"]
    assert_exact(program, graph)


def test_a_channel_that_is_constant_but_for_padding_is_computed() -> None:
    b = GraphBuilder(6)
    x = b.tensor((1, 7, 9, 8))
    wide = b.conv(x, 8, (1, 1), activation="NONE")
    weights = b.tensors[b.ops[-1].inputs[1]].data
    assert weights is not None
    weights[2] = 0      # the bias alone
    y = b.conv(average(b, pad(b, wide)), 4, (1, 1))
    graph = b.graph((x,), (y,))
    assert_exact(compile(graph, "base"), graph)
