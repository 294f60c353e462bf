"""Stacks: bands of rows in the right order, exact results, and the cycles that they save."""

import dataclasses
import random

import numpy as np
import pytest
from builders.graphs.bottlenecks import bottlenecks

from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.plan.geometry import Geometry
from kaniwa.compiler.schedule.bands import stack_of
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import seeded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.program.summary import summary

CONFIG = dataclasses.replace(PRESETS["small"], line_bytes=4096, name="small_memory")
SLOW = "sdram,bytes=1,latency=10"


def geometry(rows, kernel, stride, pad):
    out = (rows + 2 * pad - kernel) // stride + 1
    return Geometry(1, (rows, 8, 8), (out, 8, 8), (kernel, 1), (stride, 1), (1, 1), (pad, 0))


def random_stack(rng):
    layers, rows = [], rng.randint(9, 40)
    for _ in range(rng.randint(2, 6)):
        kernel, stride = rng.choice([(1, 1), (1, 1), (3, 1), (3, 2), (5, 1), (2, 2), (1, 2)])
        if rows < kernel:
            break
        layers.append(geometry(rows, kernel, stride, kernel // 2 if kernel % 2 else 0))
        rows = layers[-1].ofm[0]
    lap = rng.randint(1, rows)
    return layers, stack_of(layers, lap, rng.randint(1, lap))


@pytest.mark.parametrize("seed", range(40))
def test_a_band_finds_the_rows_that_it_reads(seed):
    layers, stack = random_stack(random.Random(seed))
    memory = [{} for _ in layers]     # by the row's place in memory, the row that is there
    written = [set() for _ in layers]
    for band in stack.bands:
        g = layers[band.place]
        if band.place:
            first = band.rows[0] * g.stride[0] - g.padding[0]
            last = (band.rows[1] - 1) * g.stride[0] - g.padding[0] + g.extent[0]
            for row in range(max(0, first), min(g.ifm[0], last)):
                assert memory[band.place - 1][row - band.ifm_base] == row
        for row in range(*band.rows):
            memory[band.place][row - band.ofm_base] = row
            written[band.place].add(row)
            if band.place < len(layers) - 1:
                assert 0 <= row - band.ofm_base < stack.held[band.place]
    assert written[-1] == set(range(layers[-1].ofm[0]))
    assert stack.computed(len(layers) - 1) == layers[-1].ofm[0]      # none of it twice


def test_rows_in_common_are_kept_within_a_lap():
    layers = [geometry(16, 1, 1, 0), geometry(16, 3, 1, 1)]
    assert stack_of(layers, 16, 4).computed(0) == 16
    assert stack_of(layers, 8, 4).computed(0) == 16 + 2
    assert stack_of(layers, 8, 4).held == (9,)
    assert stack_of(layers, 16, 4).kept == (True,)


@pytest.mark.parametrize("outside", [SLOW, "sdram,part=W9825G6KH"])
def test_results_are_those_of_the_model(outside):
    graph = bottlenecks()
    program = compile(graph, CONFIG, outside=outside)
    assert len(program.turns) > len(program.layers)
    found = []
    for name in ("golden", "emulator"):
        with devices.open(name, target=CONFIG, outside=outside) as device:
            session = Session(program, device)
            found.append([session.run(inputs) for inputs in seeded_inputs(program.inputs, 1)])
    for wanted, got in zip(*found, strict=True):
        for name in wanted:
            np.testing.assert_array_equal(got[name], wanted[name])


def test_cycles_of_layers_add_up_and_less_crosses():
    whole = compile(bottlenecks(), CONFIG, outside="ideal")
    slow = dataclasses.replace(whole, outside=SLOW)
    program = compile(bottlenecks(), CONFIG, outside=SLOW)
    rows = summary(program)["layers"]
    assert sum(row["cycles"] for row in rows) == estimate(program).cycles
    assert all(row["cycles"] > 0 for row in rows)
    assert len(rows) == len(whole.layers)
    assert estimate(program).cycles < 0.9 * estimate(slow).cycles
    assert program.outside_bytes < whole.outside_bytes / 2


@pytest.mark.parametrize("options", [
    {"outside": "ideal"}, {"outside": SLOW, "materialize": True}])
def test_layers_come_one_after_the_other(options):
    program = compile(bottlenecks(), CONFIG, **options)
    assert len(program.turns) == len({layer.tag for layer in program.layers})


def test_layers_that_fit_on_chip_come_one_after_the_other():
    roomy = dataclasses.replace(CONFIG, memory_bytes=1 << 20)
    assert compile(bottlenecks(), roomy, outside=SLOW).outside is None
