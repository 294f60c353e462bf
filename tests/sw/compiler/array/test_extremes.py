"""REDUCE_MAX and REDUCE_MIN on the array, exact against golden."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from builders.graphs.move_case import moved

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.graph import Graph


def extremes(shape: tuple[int, ...], axes: tuple[int, ...], kind: str = "REDUCE_MAX",
             dtype: str = "int8") -> Graph:
    """A REDUCE_MAX or REDUCE_MIN."""
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    return moved(kind, [shape], [kept], dtype, axes=axes)


@pytest.mark.parametrize("target", ["base", "small", "large"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", ["REDUCE_MAX", "REDUCE_MIN"])
@pytest.mark.parametrize(("shape", "axes"), [
    ((1, 6, 5, 16), (3,)), ((2, 3, 4, 9), (1, 2)), ((1, 7, 7, 24), (1, 2)), ((3, 1, 8), (1,)),
    ((2, 300, 3), (1,)), ((4, 512), (1,)), ((5, 3, 7), (0, 1, 2)), ((2, 5, 6, 3), (1,)),
    ((1, 4, 13), (2,)), ((1, 257, 4), (1,)), ((1, 509, 40), (1,)), ((2, 1021, 2), (1,))])
def test_extremes_equal_golden(shape: tuple[int, ...], axes: tuple[int, ...], kind: str,
                               dtype: str, target: str) -> None:
    graph = extremes(shape, axes, kind, dtype)
    program = compile(graph, target, require_accelerator=True)
    session = Session(program, devices.open("emulator", target))
    for low, high in ((0, 256), (3, 6), (126, 131)):
        x = np.random.default_rng(low).integers(low, high, shape).astype(np.uint8).view(dtype)
        (got,) = session.run([x]).values()
        np.testing.assert_array_equal(got, golden.run(graph, [x])[graph.outputs[0]])


def test_the_first_comparisons_take_the_cycles() -> None:
    shape = (1, 16, 16, 64)
    cycles = estimate(compile(extremes(shape, (1, 2)), "base")).cycles
    assert cycles < 1.3 * prod(shape) / 8      # 8 lanes, a tap a cycle


def pooled(shape: tuple[int, ...], activation: str = "NONE") -> Graph:
    """The largest of each channel of a map, as MAX_POOL_2D."""
    return moved("MAX_POOL_2D", [shape], [(shape[0], 1, 1, shape[3])], filter=shape[1:3],
                 stride=(1, 1), padding=((0, 0), (0, 0)), activation=activation)


@pytest.mark.parametrize("shape", [(1, 37, 37, 24), (2, 1, 508, 100), (1, 509, 1, 96)])
def test_the_largest_of_a_map_that_no_line_buffer_holds(shape: tuple[int, ...]) -> None:
    for target in ("base", "small"):
        graph = pooled(shape)
        session = Session(compile(graph, target, require_accelerator=True, outside="ideal"),
                          devices.open("emulator", target, outside="ideal"))
        x = np.random.default_rng(1).integers(-128, 90, shape).astype(np.int8)
        (got,) = session.run([x]).values()
        np.testing.assert_array_equal(got, golden.run(graph, [x])[graph.outputs[0]])


@pytest.mark.parametrize(("graph", "reason"), [
    (extremes((2, 3, 4), (0, 2)), "axes \\(0, 2\\), between which others are kept"),
    (extremes((1, 3, 9000), (1,)), "it compares 3 values of 9000 channels, and the line buffer"),
    (extremes((1, 8), (1,), dtype="float32"), "is float32")])
def test_others_are_the_hosts(graph: Graph, reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        compile(graph, require_accelerator=True)
    assert compile(graph).host_ops
