"""Depthwise kernels that no single window holds: a window of each phase slides along the row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.depthwise import KERNELS, depthwise
from builders.graphs.inferences import assert_equal_golden

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import ConfigError
from kaniwa.isa import Mode


@pytest.mark.parametrize("target", ["base", "large"])
@pytest.mark.parametrize("kernel, stride", KERNELS)
def test_results_equal_golden(kernel: tuple[int, int], stride: int, target: str) -> None:
    graph = depthwise(kernel, stride)
    program = compile(graph, target)
    (layer,) = program.instructions[:-1]
    assert layer["mode"] == Mode.COLUMN and layer["phase_windows"]
    (x,) = (graph.tensors[i] for i in graph.inputs)
    inputs = np.random.default_rng(3).integers(-128, 128, (2, *x.shape))
    with devices.open("emulator", program.config) as device:
        assert_equal_golden(graph, Session(program, device), inputs)


@pytest.mark.parametrize("size, phase_cycles", [(5, 1), (7, 2)])
def test_a_result_takes_a_column_and_a_step_of_each_phase(size: int, phase_cycles: int) -> None:
    """7 x 7: two cycles of each of two phases, and the first window of a row; 5 x 5: one, for the
    second phase takes in a step what the first one leaves of the kernel."""
    program = compile(depthwise((size, size), 1, columns=40), "base")
    rows, blocks = 11, 3
    least = 2 * phase_cycles * rows * blocks * 40
    cycles = estimate(program).cycles
    assert least < cycles < 1.1 * least + rows * blocks * 2 * size


@pytest.mark.parametrize("kernel", [(3, 3), (4, 4), (9, 5), (5, 9)])
def test_others_have_one_window(kernel: tuple[int, int]) -> None:
    """What one window holds, and what is too large for windows of phases."""
    (layer,) = compile(depthwise(kernel, 1), "base").instructions[:-1]
    assert not layer["phase_windows"]


def test_without_the_windows_a_target_reads_each_window_whole() -> None:
    without = replace(PRESETS["base"], phase_windows=False)
    graph = depthwise((5, 5), 1)
    (layer,) = compile(graph, without).instructions[:-1]
    assert layer["mode"] == Mode.COLUMN and not layer["sliding"]
    assert estimate(compile(graph, without)).cycles > 2 * estimate(compile(graph, "base")).cycles


@pytest.mark.parametrize("changes", [{"depthwise": False}, {"dot_width": 8}])
def test_the_windows_need_four_rows(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="where phase_windows is true"):
        replace(AcceleratorConfig(phase_windows=True), **changes)
