"""Results that layers write where a CONCATENATION would copy them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from builders.exactness import assert_equals_golden, kinds
from builders.graphs.graph_builder import GraphBuilder
from builders.networks.random_joins import copies_left_out, random_joins

from kaniwa.compiler import pipeline
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.program.program import Program

STEPS = (0.5, 3)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Program]:
    """Compiles with all copies."""
    def compiled(graph: Graph, target: str) -> Program:
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "PIPELINE", tuple(
                run for run in pipeline.PIPELINE if run.__name__ != "join"))
            return compile(graph, target, outside=None if target == "nano" else "ideal")

    return compiled


def concatenation(b: GraphBuilder, *inputs: int, axis: int = 3) -> int:
    shape = list(b.tensors[inputs[0]].shape)
    shape[axis] = sum(b.tensors[i].shape[axis] for i in inputs)
    return b.op("CONCATENATION", inputs, b.tensor(tuple(shape), *STEPS), axis=axis)


def conv(b: GraphBuilder, x: int, channels: int, kernel: tuple[int, int] = (3, 3)) -> int:
    return b.requantized(b.conv(x, channels, kernel), *STEPS)


def assert_exact(graph: Graph, target: str = "base", outside: str | None = "ideal") -> Program:
    program = compile(graph, target, outside=None if target == "nano" else outside)
    assert_equals_golden(program, graph)
    return program


@pytest.mark.parametrize("target", ["nano", "small", "base", "large"])
@pytest.mark.parametrize("channels", [(16, 16), (8, 24), (3, 13), (20, 1)])
def test_by_channels_nothing_is_copied(channels: tuple[int, int], target: str,
                                       copied: Callable[..., Program]) -> None:
    """A fire module: squeezed, then two layers side by side."""
    b = GraphBuilder()
    x = b.tensor((1, 9, 7, 8), *STEPS)
    parts = [conv(b, x, channels[0], (1, 1)), conv(b, x, channels[1])]
    graph = b.graph((x,), (b.conv(concatenation(b, *parts), 8),))
    program = assert_exact(graph, target)
    if estimate(program).cycles == estimate(copied(graph, target)).cycles:
        assert "CONCATENATION" in kinds(program)      # narrow pixels cost as much as a copy
    else:
        assert estimate(program).cycles < estimate(copied(graph, target)).cycles
        assert kinds(program)[-1] == "CONV_2D"
    if channels == (16, 16):
        assert kinds(program) == ["CONV_2D+CONCATENATION"] * 2 + ["CONV_2D"]
        assert sorted(layer.source for layer in program.layers) == [(0, 2), (1, 2), (3,)]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("target", ["small", "base"])
def test_along_other_axes(axis: int, target: str) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 8), *STEPS)
    parts = [conv(b, x, 16), conv(b, x, 16, (1, 1)), conv(b, x, 16)]
    graph = b.graph((x,), (b.conv(concatenation(b, *parts, axis=axis), 8),))
    assert "CONCATENATION" not in kinds(assert_exact(graph, target))


def test_what_others_read_is_copied() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 8), *STEPS)
    both, own = conv(b, x, 16), conv(b, x, 16, (1, 1))
    joined = concatenation(b, both, own)
    graph = b.graph((x,), (b.conv(both, 4), b.conv(joined, 4)))
    program = assert_exact(graph)
    assert sorted(kinds(program)) == ["CONCATENATION", *["CONV_2D"] * 4]
    (layer,) = (layer for layer in program.layers if layer.op == "CONCATENATION")
    assert len(layer.instructions) == 1      # of two operands one is copied


def test_results_inputs_constants_and_repeated_operands_are_copied() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 8), *STEPS)
    given, twice = conv(b, x, 16), conv(b, x, 16, (1, 1))
    fixed = b.tensor((1, 8, 8, 8), *STEPS, b.rng.integers(-128, 128, (1, 8, 8, 8), "int8"))
    joined = concatenation(b, given, x, twice, fixed, twice)
    graph = b.graph((x,), (given, b.conv(joined, 4)))
    assert "CONCATENATION" in kinds(assert_exact(graph))


def test_a_result_is_made_in_place_by_sums_pools_and_tables() -> None:
    """The operand of a sum is no part of the joined map, and keeps its memory."""
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 16), *STEPS)
    skip = conv(b, x, 16, (1, 1))
    added = b.elementwise("ADD", conv(b, conv(b, x, 16), 16), skip, "NONE", *STEPS)
    pooled = b.pool(x, "MAX_POOL_2D", (3, 3), (1, 1), 1)
    scaled = b.elementwise("MUL", x, b.constant(40), "NONE", *STEPS)
    graph = b.graph((x,), (b.conv(concatenation(b, added, pooled, scaled), 8),))
    program = assert_exact(graph)
    assert "CONCATENATION" not in kinds(program)
    assert_exact(graph, "small")


def test_joined_tensors_are_joined() -> None:
    """As dense blocks have them: what is joined is an operand again."""
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 16), *STEPS)
    inner = concatenation(b, conv(b, x, 16), conv(b, x, 8))
    graph = b.graph((x,), (b.conv(concatenation(b, inner, conv(b, x, 8)), 8),))
    program = assert_exact(graph)
    assert kinds(program).count("CONCATENATION") <= 1


def test_where_memory_is_too_small_for_it_operands_are_copied() -> None:
    """The joined map has all of its memory from its first part on."""
    b = GraphBuilder()
    x = b.tensor((1, 32, 32, 4), *STEPS)
    early, y = conv(b, x, 4), conv(b, x, 64, (1, 1))
    y = conv(b, conv(b, y, 64, (1, 1)), 64, (1, 1))
    graph = b.graph((x,), (b.conv(concatenation(b, y, early), 4),))
    assert "CONCATENATION" not in kinds(assert_exact(graph))
    found = [program for kib in range(140, 256, 4)
             if (program := _within(graph, kib)) is not None and len(program.steps) == 1]
    assert "CONCATENATION" in kinds(found[0]) and "CONCATENATION" not in kinds(found[-1])
    for program in (found[0], found[-1]):
        assert_equals_golden(program, graph)


def _within(graph: Graph, kib: int) -> Program | None:
    try:
        return compile(graph, replace(PRESETS["base"], memory_bytes=kib * 1024))
    except CompileError:
        return None


@pytest.mark.parametrize("options", [
    {"materialize": True}, {"outside": "sdram,bytes=2,latency=10"}])
def test_it_is_left_alone(options: dict[str, Any]) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 8), *STEPS)
    joined = concatenation(b, conv(b, x, 16), conv(b, x, 16))
    graph = b.graph((x,), (b.conv(joined, 4),))
    assert "CONCATENATION" in kinds(compile(graph, "base", **options))


def test_what_is_looked_up_behind_the_join_is_looked_up_by_its_layers() -> None:
    """Scores of several maps of a detector, of which one comes from a sum."""
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 16), *STEPS)
    summed = b.elementwise("ADD", conv(b, x, 16), x, "NONE", *STEPS)
    joined = concatenation(b, conv(b, x, 16), summed, conv(b, x, 8))
    scores = b.op("LOGISTIC", (joined,), b.tensor((1, 8, 8, 40), 1 / 256, -128), "litert_table")
    graph = b.graph((x,), (b.conv(scores, 4),))
    program = assert_exact(graph)
    assert sorted(kinds(program)) == [
        "CONCATENATION+LOGISTIC", "CONV_2D", "CONV_2D", "CONV_2D", "CONV_2D+ADD"]
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 16), *STEPS)
    joined = concatenation(b, conv(b, x, 16), conv(b, x, 8))
    scores = b.op("LOGISTIC", (joined,), b.tensor((1, 8, 8, 24), 1 / 256, -128), "litert_table")
    graph = b.graph((x,), (b.conv(scores, 4),))
    program = assert_exact(graph)
    assert kinds(program) == ["CONV_2D+CONCATENATION+LOGISTIC"] * 2 + ["CONV_2D"]
    rows = [row["rule"] for row in program.rounding[program.layers[0].instructions[0]]]
    assert rows == ["litert_double_rounding", "litert_table"]


@pytest.mark.parametrize("target", ["nano", "small", "base", "large"])
def test_random_networks_are_exact(target: str) -> None:
    left_out = 0
    for seed in range(12):
        graph = random_joins(seed)
        program = compile(graph, target, outside=None if target == "nano" else "ideal")
        assert_equals_golden(program, graph, 1)
        left_out += copies_left_out(program)
    assert left_out > 15
