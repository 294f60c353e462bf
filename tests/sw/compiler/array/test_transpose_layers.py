"""TRANSPOSE on the array, exact against NumPy."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.array.exchanges import exchanges
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph, Op, Quantization, Tensor

Q = Quantization((0.1,), (3,))


def transpose_graph(shape: tuple[int, ...], permutation: tuple[int, ...],
                    dtype: str = "int8") -> Graph:
    """A single TRANSPOSE."""
    tensors = (Tensor(0, "x", shape, dtype, Q, None),
               Tensor(1, "y", tuple(shape[i] for i in permutation), dtype, Q, None))
    op = Op("TRANSPOSE", "turn", (0,), (1,), {"permutation": permutation}, "exact", 0)
    return Graph("transpose", tensors, (op,), (0,), (1,), "0" * 64)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("target", ["base", "small", "large", "nano"])
@pytest.mark.parametrize(("shape", "permutation"), [
    ((1, 16, 2, 16), (0, 2, 1, 3)), ((1, 16, 2, 16), (0, 2, 3, 1)), ((1, 2, 16, 16), (0, 2, 1, 3)),
    ((1, 24, 4, 16), (0, 2, 3, 1)), ((5, 7), (1, 0)), ((2, 3, 4, 5), (0, 2, 1, 3)),
    ((2, 5, 6, 3), (0, 3, 1, 2)), ((2, 3, 5, 6), (0, 2, 3, 1)), ((4, 1, 9), (1, 2, 0)),
    ((3, 4), (0, 1)), ((4, 300), (1, 0)), ((300, 4), (1, 0)), ((2, 20, 3, 24), (0, 2, 1, 3)),
    ((6, 5, 12), (1, 0, 2))])
def test_transpose_equals_numpy(target: str, shape: tuple[int, ...],
                                permutation: tuple[int, ...], dtype: str) -> None:
    graph = transpose_graph(shape, permutation, dtype)
    session = Session(compile(graph, target, require_accelerator=True),
                      devices.open("emulator", target))
    x = np.random.default_rng(1).integers(-32768, 32768, shape).astype(dtype)
    np.testing.assert_array_equal(session.run({"x": x})["y"], x.transpose(permutation))


@pytest.mark.parametrize(("shape", "dtype"), [
    ((1, 1500, 6, 64), "int8"), ((2, 1100, 3, 64), "int8"), ((1, 800, 2, 48), "int16")])
def test_runs_that_end_far_apart_are_copied_column_by_column(shape: tuple[int, ...],
                                                             dtype: str) -> None:
    """Neighbors end further apart than 65,535 bytes, the most between pixels of an instruction."""
    graph = transpose_graph(shape, (0, 2, 1, 3), dtype)
    config = replace(PRESETS["base"], memory_bytes=2 << 20, name="roomy")
    program = compile(graph, config, require_accelerator=True)
    x = np.random.default_rng(1).integers(-32768, 32768, shape).astype(dtype)
    (got,) = Session(program, devices.open("emulator", config)).run([x]).values()
    np.testing.assert_array_equal(got, x.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("target", ["base", "nano"])
@pytest.mark.parametrize(("shape", "permutation"), [
    ((6, 1, 8, 28), (1, 0, 2, 3)), ((3, 4), (0, 1)), ((1, 1, 9), (2, 1, 0))])
def test_where_nothing_moves_there_is_no_instruction(target: str, shape: tuple[int, ...],
                                                     permutation: tuple[int, ...]) -> None:
    b = GraphBuilder()
    x = b.tensor(shape)
    turned = b.op("TRANSPOSE", (x,), b.tensor(tuple(shape[i] for i in permutation)),
                  permutation=permutation)
    y = b.conv(b.reshape(turned, (1, 1, b.size(x), 1)), 4, (1, 1))
    graph = b.graph((x,), (y,))
    program = compile(graph, target, require_accelerator=True)
    assert [layer.op for layer in program.layers] == ["CONV_2D"]
    value = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    (got,) = Session(program, devices.open("emulator", target)).run([value]).values()
    np.testing.assert_array_equal(got, golden.run(graph, [value])[y])


def test_a_run_that_does_not_fit_the_ring_is_cut_into_equal_parts() -> None:
    config = replace(PRESETS["small"], ring_bytes=1024, name="little")
    graph = transpose_graph((5, 3, 16, 8), (1, 0, 2, 3))
    program = compile(graph, config, require_accelerator=True)
    assert len(program.instructions) > 4
    x = np.random.default_rng(1).integers(-128, 128, (5, 3, 16, 8)).astype(np.int8)
    got = Session(program, devices.open("emulator", config)).run({"x": x})["y"]
    np.testing.assert_array_equal(got, x.transpose(1, 0, 2, 3))


@pytest.mark.parametrize("target", ["base", "nano"])
@pytest.mark.parametrize(("shape", "permutation", "copies"), [
    ((2, 3, 4), (2, 1, 0), 2), ((2, 3, 4, 5), (3, 1, 2, 0), 2), ((1, 8, 4, 6), (0, 3, 2, 1), 2),
    ((4, 2, 3, 2, 5), (0, 4, 2, 3, 1), 2), ((2, 3, 4, 5), (1, 0, 3, 2), 2),
    ((2, 3, 2, 3, 2, 4), (5, 3, 1, 4, 2, 0), 4)])
def test_other_permutations_are_several_exchanges(target: str, shape: tuple[int, ...],
                                                  permutation: tuple[int, ...],
                                                  copies: int) -> None:
    assert len(exchanges(shape, permutation)) == copies
    for dtype in ("int8", "int16"):
        program = compile(transpose_graph(shape, permutation, dtype), target,
                          require_accelerator=True)
        x = np.random.default_rng(1).integers(-32768, 32768, shape).astype(dtype)
        got = Session(program, devices.open("emulator", target)).run({"x": x})["y"]
        np.testing.assert_array_equal(got, x.transpose(permutation))


def test_exchanges_make_every_permutation() -> None:
    shape = (2, 3, 4, 5)
    x = np.arange(120).reshape(shape)
    for permutation in permutations(range(4)):
        moved = x
        for outer, first, second, run in exchanges(shape, permutation):
            moved = moved.reshape(outer, first, second, run).transpose(0, 2, 1, 3)
        np.testing.assert_array_equal(moved.ravel(), x.transpose(permutation).ravel())
        assert len(exchanges(shape, permutation)) <= 3
    assert exchanges((1, 9, 1), (2, 1, 0)) == ()


def test_exchanges_of_many_axes_bring_each_to_its_place() -> None:
    shape = (2, 3, 2, 3, 2, 3, 2, 2)
    moved = x = np.arange(np.prod(shape)).reshape(shape)
    for outer, first, second, run in exchanges(shape, tuple(range(8))[::-1]):
        moved = moved.reshape(outer, first, second, run).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(moved.ravel(), x.T.ravel())


@pytest.mark.parametrize(("rows", "columns", "heads", "depth", "ops"), [
    (1, 24, 4, 16, ["CONV_2D+TRANSPOSE"]), (3, 5, 2, 8, ["CONV_2D+TRANSPOSE"]),
    (1, 24, 3, 12, ["CONV_2D", "TRANSPOSE"]),      # no whole blocks of channels
    (1, 2, 16, 8, ["CONV_2D", "TRANSPOSE"])])      # an instruction a head takes longer
def test_a_dense_layer_splits_its_heads(rows: int, columns: int, heads: int, depth: int,
                                        ops: list[str]) -> None:
    b = GraphBuilder()
    x = b.tensor((1, rows, columns, 64))
    graph = b.graph((x,), (b.split_heads(x, heads, depth),))
    program = compile(graph, "base", require_accelerator=True)
    assert [layer.op for layer in program.layers] == ops
    value = np.random.default_rng(1).integers(-128, 128, (1, rows, columns, 64)).astype(np.int8)
    for built in (program, compile(graph, "base", materialize=True), compile(graph, "small")):
        (got,) = Session(built, devices.open("emulator", built.config)).run([value]).values()
        np.testing.assert_array_equal(got, golden.run(graph, [value])[graph.outputs[0]])


def test_a_dense_layer_that_others_read_stays_whole() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 1, 24, 64))
    heads = b.split_heads(x, 4, 16)
    dense = b.ops[0].outputs[0]
    graph = b.graph((x,), (heads, dense))
    program = compile(graph, "base", require_accelerator=True)
    assert [layer.op for layer in program.layers] == ["CONV_2D", "TRANSPOSE"]
