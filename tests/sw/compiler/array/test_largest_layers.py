"""ARG_MAX and ARG_MIN on the array, exact against golden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.move_case import moved

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.graph import Graph


def places(shape: tuple[int, ...], kind: str = "ARG_MAX", dtype: str = "int8",
           index: str = "int32", axis: int = -1) -> Graph:
    """An ARG_MAX or ARG_MIN."""
    axis %= len(shape)
    graph = moved(kind, [shape], [shape[:axis] + shape[axis + 1:]], dtype, axis=axis)
    x, y = graph.tensors
    return replace(graph, tensors=(x, replace(y, dtype=index, quantization=None)))


@pytest.mark.parametrize("materialize", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("kind", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize(("shape", "index"), [
    ((1, 10), "int64"), ((2, 3, 4, 2), "int32"), ((1, 7, 8, 21), "int32"), ((3, 256), "int32"),
    ((5, 251), "int32"), ((1, 129), "int64"), ((3, 7), "int32")])
def test_places_equal_golden(shape: tuple[int, ...], index: str, kind: str, dtype: str,
                             materialize: bool) -> None:
    graph = places(shape, kind, dtype, index)
    program = compile(graph, require_accelerator=True, materialize=materialize)
    session = Session(program, devices.open("emulator"))
    for low, high in ((0, 256), (3, 6), (127, 130), (0, 1)):      # the first of equal ones
        x = np.random.default_rng(low).integers(low, high, shape).astype(np.uint8).view(dtype)
        (got,) = session.run([x]).values()
        expected = golden.run(graph, [x])[graph.outputs[0]]
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape, axis", [((1, 4, 5), 1), ((6, 3, 7), 0), ((2, 21, 5, 1), 1)])
def test_places_along_any_axis_equal_golden(shape: tuple[int, ...], axis: int) -> None:
    graph = places(shape, axis=axis)
    session = Session(compile(graph, require_accelerator=True), devices.open("emulator"))
    x = np.random.default_rng(1).integers(-3, 3, shape).astype(np.int8)
    (got,) = session.run([x]).values()
    np.testing.assert_array_equal(got, golden.run(graph, [x])[graph.outputs[0]])


@pytest.mark.parametrize(("graph", "reason"), [
    (places((1, 257)), "it compares 257 values, the accelerator 2 to 256"),
    (places((1, 5), dtype="float32"), "is float32")])
def test_others_are_the_hosts(graph: Graph, reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        compile(graph, require_accelerator=True)
    assert compile(graph).host_ops
