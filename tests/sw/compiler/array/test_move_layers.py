"""Slices, splits and concatenations on the array, exact, and what the host keeps of them."""

from __future__ import annotations

import numpy as np
import pytest
from builders.exactness import assert_equals_golden
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.move_case import (
    broadcast,
    cut,
    gathered,
    mirrored,
    moved,
    padded,
    resized,
    tiled,
    to_batch,
    to_space,
)
from builders.graphs.streaming_convolution import streaming_convolution
from builders.graphs.unrolled_gru import unrolled_gru
from builders.networks.random_moves import random_moves

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.graph import Graph, Quantization, Tensor
from kaniwa.isa import Opcode

TARGETS = ["base", "small", "large", "nano"]


def joined_with_other_steps(dtype: str) -> Graph:
    graph = moved("CONCATENATION", [(2, 3), (2, 5)], [(2, 8)], dtype, axis=1)
    first = Tensor(0, "x0", (2, 3), dtype, Quantization((0.2,), (3,)), None)
    return Graph("steps", (first, *graph.tensors[1:]), graph.ops, graph.inputs, graph.outputs,
                 "0" * 64)


CASES = {
    "split the channels": moved("SPLIT", [(2, 3, 5, 24)], [(2, 3, 5, 8)] * 3, axis=3),
    "split rows": moved("SPLIT", [(1, 6, 7)], [(1, 2, 7)] * 3, axis=1),
    "split unevenly": moved("SPLIT_V", [(3, 37)], [(3, 20), (3, 1), (3, 16)], axis=1),
    "unpack": moved("UNPACK", [(3, 4, 9)], [(3, 9)] * 4, axis=1),
    "pack": moved("PACK", [(3, 9)] * 4, [(3, 4, 9)], axis=1),
    "pack bytes": moved("PACK", [(3, 9)] * 2, [(3, 9, 2)], axis=2),
    "join the channels": moved("CONCATENATION", [(1, 4, 4, 16), (1, 4, 4, 5)], [(1, 4, 4, 21)],
                               axis=3),
    "join rows": moved("CONCATENATION", [(2, 3, 8), (2, 1, 8), (2, 4, 8)], [(2, 8, 8)], axis=1),
    "join what is uint8": moved("CONCATENATION", [(7, 3), (7, 8)], [(7, 11)], "uint8", axis=1),
    "join uint8 of other steps": joined_with_other_steps("uint8"),
    "cut a step": cut((1, 9, 20), (0, 4, 0), (1, 5, 20)),
    "cut a window": cut((2, 8, 9, 3), (0, 2, 1, 0), (2, 7, 8, 3)),
    "cut two far axes": cut((3, 2, 5, 12), (1, 0, 0, 4), (3, 2, 5, 9)),
    "cut nothing": cut((3, 5), (0, 0), (3, 5)),
    "cut with a step of no account": cut((4, 6), (3, 0), (2, 6), (-1, 1)),
    "cut what is uint8": cut((4, 6), (1, 2), (3, 6), dtype="uint8"),
    "reverse steps": moved("REVERSE_V2", [(1, 28, 20)], [(1, 28, 20)], axes=(1,)),
    "reverse channels": moved("REVERSE_V2", [(3, 17)], [(3, 17)], axes=(1,)),
    "reverse many channels": moved("REVERSE_V2", [(2, 200)], [(2, 200)], axes=(1,)),
    "reverse two axes": moved("REVERSE_V2", [(2, 3, 4, 5)], [(2, 3, 4, 5)], axes=(1, 2)),
    "reverse one element": moved("REVERSE_V2", [(5, 1, 4)], [(5, 1, 4)], axes=(1,)),
    "reverse all of uint8": moved("REVERSE_V2", [(2, 3, 4)], [(2, 3, 4)], "uint8", axes=(0, 1, 2)),
    "reverse what is int16": moved("REVERSE_V2", [(2, 9, 3)], [(2, 9, 3)], "int16", axes=(1,)),
    "split what is int16": moved("SPLIT_V", [(3, 37)], [(3, 20), (3, 1), (3, 16)], "int16", axis=1),
    "unpack what is int16": moved("UNPACK", [(3, 4, 9)], [(3, 9)] * 4, "int16", axis=1),
    "join what is int16": moved("CONCATENATION", [(1, 4, 4, 16), (1, 4, 4, 5)], [(1, 4, 4, 21)],
                                "int16", axis=3),
    "pack what is int16": moved("PACK", [(3, 9)] * 2, [(3, 9, 2)], "int16", axis=2),
    "pad rows and columns": padded((2, 5, 6, 3), ((0, 0), (1, 2), (3, 0), (0, 0))),
    "pad channels": padded((1, 5, 6, 16), ((0, 0), (0, 0), (0, 0), (0, 16))),
    "pad every axis": padded((2, 3, 4, 5), ((1, 0), (0, 1), (2, 1), (3, 4))),
    "pad what is uint8": padded((7, 9), ((0, 3), (2, 0)), "uint8"),
    "pad what is int16": padded((7, 9), ((0, 3), (2, 0)), "int16"),
    "pad nothing": padded((4, 6), ((0, 0), (0, 0))),
    "pad widely": padded((1, 3, 4, 24), ((0, 0), (9, 8), (7, 9), (0, 0))),
    "space to depth": moved("SPACE_TO_DEPTH", [(2, 6, 9, 5)], [(2, 2, 3, 45)], block=3),
    "depth to space": moved("DEPTH_TO_SPACE", [(2, 3, 2, 12)], [(2, 6, 4, 3)], block=2),
    "double": resized((1, 4, 5, 8), (8, 10)),
    "treble columns of odd channels": resized((2, 4, 5, 11), (4, 15)),
    "halve": resized((1, 6, 8, 3), (3, 4)),
    "resize unevenly": resized((1, 7, 5, 3), (10, 13), "uint8"),
    "resize in two steps": resized((1, 23, 23, 2), (47, 49)),
    "resize between corners": resized((1, 5, 5, 4), (9, 9), "int16", align_corners=True),
    "resize from centers": resized((1, 5, 6, 4), (10, 9), half_pixel_centers=True),
    "resize a pixel": resized((1, 1, 1, 16), (7, 9)),
    "cut what is int16": cut((3, 2, 5, 12), (1, 0, 0, 4), (3, 2, 5, 9), dtype="int16"),
    "cut every second row": cut((2, 8, 9, 3), (0, 1, 0, 0), (2, 8, 9, 3), (1, 2, 1, 1)),
    "cut every second pixel": cut((2, 8, 9, 12), (0, 1, 2, 0), (2, 8, 9, 12), (1, 2, 2, 1)),
    "cut every third channel": cut((1, 4, 5, 20), (0, 0, 0, 1), (1, 4, 5, 20), (1, 1, 1, 3)),
    "cut with steps of far axes": cut((7, 3, 5, 6), (1, 0, 0, 2), (7, 3, 5, 6), (2, 1, 1, 2)),
    "cut three axes": cut((4, 5, 6, 3), (0, 0, 1, 0), (3, 4, 6, 3)),
    "cut every axis": cut((4, 5, 6, 7), (1, 0, 1, 2), (4, 4, 6, 6), (2, 1, 3, 1)),
    "cut pixels of int16": cut((2, 8, 9, 3), (0, 1, 2, 0), (2, 8, 9, 3), (1, 2, 2, 1), "int16"),
    "reflect": mirrored((2, 5, 6, 3), ((0, 0), (1, 2), (3, 0), (0, 0))),
    "reflect channels": mirrored((3, 9), ((0, 0), (2, 4)), "SYMMETRIC", "uint8"),
    "repeat the edge": mirrored((1, 4, 5, 8), ((0, 0), (2, 1), (1, 3), (0, 0)), "EDGE"),
    "wrap": mirrored((1, 7, 5, 4), ((0, 0), (3, 5), (2, 0), (0, 0)), "WRAP", "int16"),
    "reflect many channels": mirrored((2, 300), ((0, 0), (150, 130))),
    "reflect a long row": mirrored((1, 2, 300, 1), ((0, 0), (1, 0), (0, 256), (0, 0)), "SYMMETRIC"),
    "repeat the edge of few": mirrored((3, 9), ((0, 0), (128, 129)), "EDGE", "uint8"),
    "reflect nothing": mirrored((4, 6), ((0, 0), (0, 0))),
    "tile pixels": tiled((1, 1, 1, 24), (1, 5, 6, 1)),
    "tile rows": tiled((2, 3, 4, 5), (1, 3, 1, 1)),
    "tile every axis": tiled((2, 3, 4, 5), (3, 2, 2, 3)),
    "tile bytes": tiled((40, 3), (1, 7), "uint8"),
    "tile few bytes": tiled((1, 1), (1, 50)),
    "tile images": tiled((2, 12, 12, 10), (3, 1, 1, 1)),
    "tile what is int16": tiled((6, 9), (2, 3), "int16"),
    "tile nothing": tiled((4, 6), (1, 1)),
    "broadcast channels": broadcast((2, 7, 5, 1), (2, 7, 5, 19)),
    "broadcast rows": broadcast((2, 1, 5, 6), (2, 7, 5, 6)),
    "broadcast columns": broadcast((2, 7, 1, 6), (2, 7, 5, 6)),
    "broadcast images": broadcast((1, 7, 5, 6), (3, 7, 5, 6)),
    "broadcast new axes": broadcast((3, 1), (2, 4, 3, 5), "uint8"),
    "broadcast far axes of int16": broadcast((3, 1, 4, 1), (3, 2, 4, 5), "int16"),
    "space to batch": to_batch((1, 7, 9, 5), (2, 3), ((1, 0), (2, 1))),
    "space to batch of uint8": to_batch((2, 6, 4, 3), (2, 2), ((0, 0), (0, 0)), "uint8"),
    "space to batch of one axis": to_batch((2, 9, 6), (3,), ((2, 1),)),
    "batch to space": to_space((12, 3, 4, 5), (2, 3), ((1, 0), (0, 2))),
    "batch to space of one axis": to_space((6, 4, 7), (3,), ((0, 0),), "int16"),
    "batch to space of blocks of one": to_space((3, 4, 2, 7), (1, 1), ((1, 1), (0, 1))),
    "space to batch of large maps": to_batch((1, 20, 22, 16), (2, 3), ((0, 0), (1, 1))),
    "batch to space of large maps": to_space((6, 10, 8, 16), (2, 3), ((0, 0), (0, 1))),
    "gather channels": gathered((3, 5, 4, 12), 3, [7, 3, 11, 0, 0, 5, 9]),
    "gather few channels": gathered((7, 40), 1, [7, 8, 9, 3, 4, 39]),
    "gather many channels": gathered((2, 200), 1, list(range(1, 200, 2))[::-1] * 3),
    "gather rows": gathered((2, 6, 9), 1, [5, 1, 2, 2], "uint8"),
    "gather a table of rows": gathered((6, 9), 0, [[5, 1], [2, 2], [0, 3]]),
    "gather what is int16": gathered((3, 7), 1, [4, 1, 5], "int16"),
    "cut backwards": cut((2, 8, 9, 3), (0, 6, 0, 0), (2, 0, 9, 3), (1, -2, 1, 1)),
    "cut channels backwards": cut((5, 6, 3), (0, 0, 2), (5, 6, -1), (1, 1, -1), "uint8"),
    "cut backwards and forwards": cut((7, 5, 4), (6, 0, 3), (1, 5, -1), (-1, 2, -2), "int16"),
    "cut steps of int16": cut((4, 6), (3, 0), (2, 6), (-1, 1), "int16"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_moves_equal_golden(target: str, name: str) -> None:
    graph = CASES[name]
    session = Session(compile(graph, target, require_accelerator=True),
                      devices.open("emulator", target))
    rng = np.random.default_rng(1)
    inputs = {t.name: rng.integers(0, 65536, t.shape).astype(np.uint16).astype(t.dtype)
              for t in (graph.tensors[i] for i in graph.inputs)}
    values, outputs = golden.run(graph, inputs), session.run(inputs)
    for i in graph.outputs:
        np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])


@pytest.mark.parametrize(("graph", "reason"), [
    (cut((300, 9), (299, 0), (1, 9), (-1, 1)), "it takes 298 elements backwards"),
    (mirrored((1, 300, 4), ((0, 0), (280, 0), (0, 0))), "it copies 281 runs of an axis"),
    (mirrored((2, 300), ((0, 0), (257, 0))), "it copies 258 runs of an axis"),
    (mirrored((2, 300), ((0, 0), (150, 150)), "REFLECT", "int16"), "it copies 301 runs"),
    (moved("REVERSE_V2", [(257, 4)], [(257, 4)], axes=(0,)), "reverses 257 positions"),
    (gathered((600, 4), 0, list(range(0, 600, 2))), "it copies 300 runs of neighbors"),
    (gathered((2, 3, 4), 2, [[0, 2], [1, 3]], batch_dims=1), "other indices for each of a batch"),
    (gathered((2, 3), 1, [0, 3]), "indices 'indices' leave the 3 positions"),
    (to_batch((1, 17, 17, 1), (17, 17), ((0, 0), (0, 0))), "a block has 289 positions"),
    (tiled((2, 3), (2, 2), "int32"), "is int32"),
    (joined_with_other_steps("int8"), "'x0' has another scale or zero point than 'y2'"),
    (moved("SPLIT", [(2, 4)], [(2, 2)] * 2, "int32", axis=1), "is int32")])
def test_other_moves_go_to_the_host(graph: Graph, reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        compile(graph, require_accelerator=True)
    assert compile(graph).host_ops


@pytest.mark.parametrize("target", ["base", "large"])
@pytest.mark.parametrize("materialize", [False, True])
def test_an_unrolled_gru_is_whole_on_the_device(target: str, materialize: bool) -> None:
    graph = unrolled_gru(5, 12, 20)
    program = compile(graph, target, require_accelerator=True, materialize=materialize)
    assert not program.host_ops and len(program.runs) == 1
    assert all(values["opcode"] != Opcode.VECTOR for values in program.instructions)
    session = Session(program, devices.open("emulator", target))
    rng = np.random.default_rng(2)
    for _ in range(3):
        inputs = {graph.tensors[i].name: rng.integers(-128, 128, graph.tensors[i].shape).astype(
            np.int8) for i in graph.inputs}
        values, outputs = golden.run(graph, inputs), session.run(inputs)
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])


@pytest.mark.parametrize("target", TARGETS)
def test_a_convolution_in_one_dimension_is_whole_on_the_device(target: str) -> None:
    """As Keras exports it."""
    b = GraphBuilder(4)
    x = b.tensor((1, 9, 8))
    wide = b.op("EXPAND_DIMS", (x,), b.tensor((1, 1, 9, 8)), shape=(1, 1, 9, 8))
    made = b.conv(wide, 12, (1, 3), pad=0)
    y = b.op("SQUEEZE", (made,), b.tensor((1, 7, 12), *b.steps(made)), shape=(1, 7, 12))
    graph = b.graph((x,), (y,))
    program = compile(graph, target, require_accelerator=True)
    assert len(program.layers) == 1
    session = Session(program, devices.open("emulator", target))
    value = np.random.default_rng(1).integers(-128, 128, (1, 9, 8)).astype(np.int8)
    (got,) = session.run([value]).values()
    np.testing.assert_array_equal(got, golden.run(graph, [value])[y])


@pytest.mark.parametrize("target", TARGETS)
def test_a_streaming_convolution_is_whole_on_the_device(target: str) -> None:
    graph = streaming_convolution()
    program = compile(graph, target, require_accelerator=True)
    assert not program.host_ops and len(program.runs) == 1
    session = Session(program, devices.open("emulator", target))
    rng, state = np.random.default_rng(1), dict[int, np.ndarray]()
    for step in range(6):
        if step == 4:
            session.reset()
            state.clear()
        x = rng.integers(-128, 128, (1, 2, 8)).astype(np.int8)
        values = golden.run(graph, [x], state=state)
        (got,) = session.run([x]).values()
        np.testing.assert_array_equal(got, values[graph.outputs[0]])


@pytest.mark.parametrize(("graph", "layers"), [
    (cut((2, 8, 9, 3), (0, 7, 0, 0), (2, -1, 9, 3), (1, -1, 1, 1)), 1),
    (cut((2, 8, 9, 3), (0, 6, 0, 0), (2, 0, 5, 3), (1, -2, 1, 1)), 2), (CASES["cut nothing"], 0)])
def test_what_is_whole_is_not_copied(graph: Graph, layers: int) -> None:
    program = compile(graph, require_accelerator=True)
    assert len(program.layers) == layers
    assert_equals_golden(program, graph)


@pytest.mark.parametrize("target", TARGETS)
def test_moves_between_layers_equal_golden(target: str) -> None:
    for seed in range(20):
        graph = random_moves(seed)
        assert_equals_golden(compile(graph, target, outside=None if target == "nano" else "ideal",
                                     require_accelerator=True), graph)
