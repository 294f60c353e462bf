"""Groups of output channels: sizes other than the usual ones, where these take fewer cycles."""

from __future__ import annotations

import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.schedule import tile
from kaniwa.compiler.schedule.estimate import FREE, Held
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.graph import Graph
from kaniwa.program.program import Program
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff

LARGE = PRESETS["large"]
WORDS, RECORDS = LARGE.ring_words, LARGE.parameter_words


def dense_pair(size: int, depth: int, channels: int) -> Graph:
    """Two 1 x 1 layers: of few pixels, whose many weights the array would wait for."""
    b = GraphBuilder()
    x = b.tensor((1, size, size, depth))
    return b.graph((x,), (b.conv(b.conv(x, depth, (1, 1)), channels, (1, 1)),))


def wide_depthwise(size: int, channels: int) -> Graph:
    """3 x 3 of rows that are read anew by each group of channels."""
    b = GraphBuilder()
    x = b.tensor((1, size, size, channels))
    return b.graph((x,), (b.conv(x, channels, (3, 3), depthwise=1),))


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Only the usual groups."""
    monkeypatch.setattr(tile, "_kinds", lambda layer: (tile._Groups.FEW,))
    return monkeypatch


def both(graph: Graph, target: str, usual: pytest.MonkeyPatch,
         outside: str | None = "ideal") -> tuple[Program, Program]:
    """The program with the usual groups, and the one with groups of all sizes."""
    plain = compile(graph, target, outside=outside)
    usual.undo()
    return plain, compile(graph, target, outside=outside)


def blocks(program: Program, layer: int) -> list[int]:
    return [program.instructions[i]["blocks"] for i in program.layers[layer].instructions]


@pytest.mark.parametrize("size, depth, channels, gain", [(5, 256, 512, 0.75), (7, 192, 384, 0.85)])
def test_weights_come_while_the_group_before_runs(
        size: int, depth: int, channels: int, gain: float, usual: pytest.MonkeyPatch) -> None:
    graph = dense_pair(size, depth, channels)
    plain, program = both(graph, "large", usual)
    assert len(blocks(program, 1)) > len(blocks(plain, 1))
    assert sum(blocks(program, 1)) == sum(blocks(plain, 1))
    assert estimate(program).cycles < gain * estimate(plain).cycles
    found = diff(program, ["golden", "emulator"], random_input(graph, 1))
    assert found["first_difference"] is None and found["tensors"] == 2


@pytest.mark.parametrize("target", ["base", "large"])
def test_large_groups_read_wide_rows_less_often(target: str, usual: pytest.MonkeyPatch) -> None:
    graph = wide_depthwise(10, 1280)
    plain, program = both(graph, target, usual)
    assert len(blocks(program, 0)) < len(blocks(plain, 0))
    assert estimate(program).cycles < 0.8 * estimate(plain).cycles
    found = diff(program, ["golden", "emulator"], random_input(graph, 1))
    assert found["first_difference"] is None and found["tensors"] == 1


@pytest.mark.parametrize("size, target, outside", [
    (64, "nano", None), (256, "large", "sdram,bytes=2")])
def test_a_compact_core_and_slow_memory_have_the_usual_groups(
        size: int, target: str, outside: str | None, usual: pytest.MonkeyPatch) -> None:
    plain, program = both(dense_pair(5, size, 2 * size), target, usual, outside)
    assert program.commands == plain.commands


@pytest.mark.parametrize("held, weights, parameters, share", [
    (FREE, WORDS, RECORDS, 1), (Held(WORDS // 2), WORDS, 8, 0.5), (Held(WORDS), WORDS, 8, 0),
    (Held(0, RECORDS // 2), 8, RECORDS // 2, 1), (Held(0, RECORDS // 2), 8, RECORDS // 2 + 1, 0)])
def test_what_fits_beside_is_read_ahead(held: Held, weights: int, parameters: int,
                                        share: float) -> None:
    assert held.share_ahead(weights, parameters, LARGE) == share
