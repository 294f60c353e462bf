"""Maps in parts of their channels, whose rows depthwise layers then read whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from builders.graphs.inverted_bottleneck import inverted_bottleneck

from kaniwa.compiler import pipeline
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.graph import Graph
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.program.program import Program, TensorInfo
from kaniwa.report.layer_bits import layer_bits
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff

# Size, channels, kernel, stride, parts on ``base``: 3 x 3 and 5 x 5, of odd sizes too.
MAPS = [(14, 672, 5, 1, 3), (14, 672, 5, 2, 3), (7, 1152, 5, 1, 2), (14, 768, 3, 1, 3),
        (28, 240, 5, 1, 3)]


def in_parts(program: Program) -> list[TensorInfo]:
    return [t for t in program.tensors if t.axes is not None]


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Callable[[Graph, str], Program]:
    """Compiles with all maps whole."""
    def compiled(graph: Graph, target: str) -> Program:
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "PIPELINE", tuple(
                run for run in pipeline.PIPELINE if run.__name__ != "channel_parts"))
            return compile(graph, target, outside="ideal")

    return compiled


@pytest.mark.parametrize("target", ["base", "large"])
@pytest.mark.parametrize("size, channels, kernel, stride, parts", MAPS)
def test_every_tensor_equals_golden_in_fewer_cycles(
        size: int, channels: int, kernel: int, stride: int, parts: int, target: str,
        whole: Callable[[Graph, str], Program]) -> None:
    graph = inverted_bottleneck(size, channels, kernel, stride)
    program = compile(graph, target, outside="ideal")
    assert len(in_parts(program)) == 2
    if target == "base":
        assert {t.axes[3][0] for t in in_parts(program) if t.axes is not None} == {parts}
    found = diff(program, ["golden", "emulator"], random_input(graph, 1))
    assert found["first_difference"] is None and found["tensors"] == 3
    assert estimate(program).cycles < estimate(whole(graph, target)).cycles


def test_parts_of_an_operator_are_its_layers(whole: Callable[[Graph, str], Program]) -> None:
    graph = inverted_bottleneck(14, 672, 5)
    program = compile(graph, "base", outside="ideal")
    names = [layer.name.partition(":") for layer in program.layers]
    assert [part for _, _, part in names] == ["1", "2", "3", "1", "2", "3", ""]
    before = whole(graph, "base")
    assert list(dict.fromkeys(name for name, _, _ in names)) == [
        layer.name for layer in before.layers]
    assert sum(layer.macs for layer in program.layers) == sum(
        layer.macs for layer in before.layers)


def test_a_program_file_has_the_parts() -> None:
    program = compile(inverted_bottleneck(14, 672, 5), "base", outside="ideal")
    assert [t.axes for t in from_bytes(to_bytes(program)).tensors] == [
        t.axes for t in program.tensors]


@pytest.mark.parametrize("graph, outside, materialize", [
    (inverted_bottleneck(14, 48, 5), "ideal", False),                # rows that fit
    (inverted_bottleneck(14, 664, 5), "ideal", False),               # no whole dot products
    (inverted_bottleneck(14, 672, 5, heads=2), "ideal", False),      # two read the result
    (inverted_bottleneck(14, 672, 5), "ideal", True),
    (inverted_bottleneck(14, 672, 5), "sdram,bytes=2", False),
    (inverted_bottleneck(14, 672, 5), "sdram,part=IS42S16160G", False)])
def test_others_stay_whole(graph: Graph, outside: str, materialize: bool) -> None:
    program = compile(graph, "base", outside=outside, materialize=materialize)
    assert not any(t.axes is not None and len(t.axes) > 4 for t in program.tensors)


def test_bits_of_parts_are_their_operators(whole: Callable[[Graph, str], Program]) -> None:
    graph = inverted_bottleneck(14, 672, 5)
    rows, before = (layer_bits(program, graph) for program in (
        compile(graph, "base", outside="ideal"), whole(graph, "base")))
    assert [(row["name"], row["weights"]) for row in rows] == [
        (row["name"], row["weights"]) for row in before]
    assert all(row["bits"] > 1 for row in rows)


def test_other_layers_of_an_operator_keep_their_rows() -> None:
    """Two layers of the same operators, of which one only moves bytes, have a row each."""
    graph = inverted_bottleneck(14, 672, 5)
    program = compile(graph, "base", outside="ideal")
    first, second, *others = program.layers
    renamed = replace(program, layers=(replace(first, op="TRANSPOSE"), second, *others))
    assert [row["op"] for row in layer_bits(renamed, graph)][:2] == ["TRANSPOSE", "CONV_2D"]
