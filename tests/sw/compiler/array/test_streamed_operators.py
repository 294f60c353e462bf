"""Operators of several stages, and copies, on random targets: the emulator equals golden."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from builders.graphs.attention_case import attention_graph, matmul_graph, softmax_graph
from builders.graphs.move_case import cut, moved

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, ConfigError
from kaniwa.graph import Graph

DRAWS = 60
ZERO_POINTS = (-128, -127, -5, 0, 18, 127)


def target(rng: random.Random) -> AcceleratorConfig:
    """A legal config with a vector unit, of any widths."""
    while True:
        lanes = rng.choice((2, 4, 8, 16))
        try:
            return AcceleratorConfig(
                name="random", vector_unit=True, requant_lanes=lanes,
                out_lanes=lanes * rng.randint(1, 4), dot_width=rng.choice((4, 8, 16, 32)),
                packed_multipliers=rng.random() < 0.3, read_bytes=rng.choice((8, 16, 32)),
                write_bytes=rng.choice((4, 8, 16, 32)), ring_bytes=rng.choice((1024, 4096, 65536)),
                line_bytes=rng.choice((1024, 4096, 32768)), depthwise=rng.random() < 0.8,
                parameter_records=rng.choice((64, 512)), patch_bytes=0, memory_bytes=1 << 20)
        except ConfigError:
            continue


def product(rng: random.Random) -> Graph:
    batch, rows, depth, columns = (rng.randint(1, most) for most in (3, 20, 70, 40))
    first, second = rng.random() < 0.5, rng.random() < 0.5
    return matmul_graph(
        (batch, depth, rows) if first else (batch, rows, depth),
        (batch, columns, depth) if second else (batch, depth, columns), first, second,
        (rng.choice(ZERO_POINTS), rng.choice(ZERO_POINTS), rng.choice(ZERO_POINTS)))


def softmax(rng: random.Random) -> Graph:
    return softmax_graph((rng.randint(1, 4), rng.randint(1, 12), rng.randint(1, 60)),
                         rng.choice((0.1, 0.013, 0.9)))


def attention(rng: random.Random) -> Graph:
    return attention_graph(rng.randint(1, 3), rng.randint(1, 40), rng.randint(1, 33))


def move(rng: random.Random) -> Graph:
    shape = (*(rng.randint(1, 7) for _ in range(rng.randint(1, 2))), rng.randint(2, 40))
    axis = rng.randrange(len(shape))
    if rng.random() < 0.4:
        begin = tuple(rng.randrange(size) for size in shape[:-1])
        end = tuple(rng.randint(b + 1, size) for b, size in zip(begin, shape, strict=False))
        return cut(shape, (*begin, 1), (*end, shape[-1])) if len(shape) < 3 else cut(
            shape, (*begin, 0), (*end, shape[-1]))
    sizes = [rng.randint(1, 5) for _ in range(rng.randint(1, 4))]
    whole, *parts = ((*shape[:axis], size, *shape[axis + 1:]) for size in (sum(sizes), *sizes))
    return (moved("CONCATENATION", parts, [whole], axis=axis) if rng.random() < 0.5
            else moved("SPLIT_V", [whole], parts, axis=axis))


@pytest.mark.parametrize("draw", [product, softmax, attention, move], ids=lambda f: f.__name__)
def test_on_random_targets(draw: Callable[[random.Random], Graph]) -> None:
    compared = 0
    for seed in range(DRAWS):
        rng, generator = random.Random(seed), np.random.default_rng(seed)
        config, graph = target(rng), draw(rng)
        try:
            program = compile(graph, config, require_accelerator=True)
        except CompileError as error:     # rows that a little line buffer cannot hold
            assert "exceed the line buffer" in str(error), (seed, config)
            continue
        session = Session(program, devices.open("emulator", config))
        for _ in range(2):
            inputs = {graph.tensors[i].name: generator.integers(
                -128, 128, graph.tensors[i].shape).astype(np.int8) for i in graph.inputs}
            values, outputs = golden.run(graph, inputs), session.run(inputs)
            for i in graph.outputs:
                np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i],
                                              f"{seed}: {config}")
        compared += 1
    assert compared > DRAWS * 3 // 4
