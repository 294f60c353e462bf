"""How layers are cut into instructions: what a cut costs in cycles, with equal results."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.inferences import assert_equal_golden

from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.isa import Mode
from kaniwa.program.program import Program


def pixels(count: int, channels: int, results: int) -> Graph:
    """A dense layer over a row of pixels."""
    b = GraphBuilder()
    x = b.tensor((1, 1, count, channels))
    return b.graph((x,), (b.conv(x, results, (1, 1)),))


def exact(graph: Graph, program: Program) -> None:
    """The emulator gives golden's results."""
    (x,) = (graph.tensors[i] for i in graph.inputs)
    inputs = np.random.default_rng(1).integers(-128, 128, (2, *x.shape))
    with devices.open("emulator", program.config) as device:
        assert_equal_golden(graph, Session(program, device), inputs)


@pytest.mark.parametrize("count", [197, 61])
def test_pixels_that_the_line_buffer_cannot_hold_twice_read_weights_once(count: int) -> None:
    """A group of channels is one instruction, however many pixels there are."""
    graph = pixels(count, 768, 192)
    program = compile(graph, "base", outside="ideal")
    layers = program.instructions[:-1]
    assert {v["ofm_rows"] * v["ofm_columns"] for v in layers} == {count}
    exact(graph, program)


def test_the_next_group_of_a_layer_comes_while_one_is_in_work() -> None:
    """Weights of 96 KiB, beyond the ring's 64: less than a tenth of the cycles wait for them."""
    graph = pixels(64, 256, 384)
    program = compile(graph, "base", outside="ideal")
    config = program.config
    layers = program.instructions[:-1]
    assert len(layers) > 1
    for v in layers:
        assert 2 * v["blocks"] * v["block_words"] <= config.ring_words
    statistics = estimate(program)
    assert statistics.cycles < 1.1 * program.macs / config.multipliers
    exact(graph, program)


def test_a_long_depthwise_kernel_of_a_column_runs_by_columns() -> None:
    """Of 31 taps, a step has four."""
    b = GraphBuilder()
    x = b.tensor((1, 25, 1, 144))
    graph = b.graph((x,), (b.conv(x, 144, (31, 1), depthwise=1),))
    program = compile(graph, "base")
    (layer,) = program.instructions[:-1]
    assert layer["mode"] == Mode.COLUMN
    assert estimate(program).snapshots[0]["issued"] == 25 * (144 // 8) * -(-31 // 4)
    exact(graph, program)
