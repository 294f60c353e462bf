"""Stacks: bands of rows in the right order, exact results, and the cycles that they save."""

import dataclasses
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.bottlenecks import bottlenecks
from builders.graphs.branches import faces, pyramid

from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.plan.geometry import Geometry
from kaniwa.compiler.schedule.bands import Member, Pass, Source, stack_of
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import seeded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.program.summary import summary
from kaniwa.verify.diff import diff

CONFIG = dataclasses.replace(PRESETS["small"], line_bytes=4096, name="small_memory")
SLOW = "sdram,bytes=1,latency=10"


ROW = 24      # bytes of a row of all maps


def geometry(rows, kernel, stride, pad):
    out = (rows + 2 * pad - kernel) // stride + 1
    return Geometry(1, (rows, 8, 3), (out, 8, 3), (kernel, 1), (stride, 1), (1, 1), (pad, 0))


def member(place, windows, operand=None, whole=False):
    """A layer that reads ``place`` through ``windows``, and an operand's rows as they are."""
    sources = [Source(0, place, 0, ROW, ROW, ROW, windows)]
    if operand is not None:
        sources.append(Source(0, operand, 0, ROW, ROW, ROW))
    height = windows.ofm[0]
    return Member(height, (Pass(height, 0, ROW, ROW, tuple(sources)),), whole)


def twice_as_high(place, rows):
    """A layer of two passes: even rows, and odd rows, which each see two of the input."""
    windows = Geometry(1, (rows, 8, 3), (rows, 8, 3), (2, 1), (1, 1), (1, 1), (0, 0))
    return Member(2 * rows, tuple(
        Pass(rows, odd * ROW, 2 * ROW, ROW, (Source(0, place, 0, ROW, ROW, ROW, replace(
            windows, padding=(1 - odd, 0))),)) for odd in (0, 1)))


def by_pixels(place, rows):
    """A move whose rows are pixels, eight in each row of the map."""
    windows = Geometry(1, (8 * rows, 1, 3), (8 * rows, 1, 3), (1, 1), (1, 1), (1, 1), (0, 0))
    return Member(rows, (Pass(8 * rows, 0, 3, ROW, (Source(0, place, 0, 3, 3, ROW, windows),)),))


def random_stack(rng):
    members = [member(None, geometry(rng.randint(9, 40), 1, 1, 0))]
    for _ in range(rng.randint(1, 7)):
        place = rng.choice((len(members) - 1, rng.randrange(len(members))))
        rows = members[place].height
        kind = rng.choice(["window"] * 6 + ["high", "pixels"])
        if kind == "high" and rows < 40:
            members.append(twice_as_high(place, rows))
        elif kind == "pixels":
            members.append(by_pixels(place, rows))
        else:
            kernel, stride = rng.choice([(1, 1), (1, 1), (3, 1), (3, 2), (5, 1), (2, 2), (1, 2)])
            windows = geometry(rows, kernel, stride, kernel // 2 if kernel % 2 else 0)
            alike = [i for i, other in enumerate(members) if other.height == windows.ofm[0]]
            members.append(member(place, windows, rng.choice([None, *alike])))
    used = [place for each in members for place, _ in each.needs((0, each.height))]
    members = [replace(each, whole=place not in used or rng.random() < 0.15)
               for place, each in enumerate(members)]
    lap = rng.randint(1, members[-1].height)
    return members, stack_of(members, lap, rng.randint(1, lap))


@pytest.mark.parametrize("seed", range(400))
def test_a_band_finds_the_rows_that_it_reads(seed):
    members, stack = random_stack(random.Random(seed))
    memory = [{} for _ in members]     # by the row's place in memory, the row that is there
    written = [[] for _ in members]
    for band in stack.bands:
        if band.moved is not None:
            rows = [memory[band.place][row - band.moved] for row in range(*band.rows)]
            assert rows == list(range(*band.rows))
            places = range(band.rows[0] - band.moved, band.rows[1] - band.moved)
            assert not set(places) & set(range(len(rows)))
            memory[band.place].update(enumerate(rows))
            assert band.bases[band.place] == band.rows[0]
            continue
        for place, rows in members[band.place].needs(band.rows):
            for row in range(*rows):
                assert memory[place][row - band.bases[place]] == row
        for row in range(*band.rows):
            to = row - band.bases[band.place]
            memory[band.place][to] = row
            written[band.place].append(row)
            assert to == row if members[band.place].whole else 0 <= to < stack.held[band.place]
    for place, each in enumerate(members):
        if each.whole:
            assert written[place] == list(range(each.height))      # none of it twice
            assert stack.held[place] == 0
        assert stack.computed(place) == len(written[place])


@pytest.mark.parametrize("seed", range(40))
def test_rows_that_are_not_kept_are_read_in_their_own_turn(seed):
    members, stack = random_stack(random.Random(seed))
    made = {}
    for band in stack.bands:
        if band.moved is not None:
            assert stack.kept[band.place]
            continue
        for place, rows in members[band.place].needs(band.rows):
            if not stack.kept[place] and not members[place].whole:
                first, last = made[place]
                assert first <= rows[0] and rows[1] <= last
        made[band.place] = band.rows


def test_rows_in_common_are_kept_within_a_lap():
    members = [member(None, geometry(16, 1, 1, 0)), member(0, geometry(16, 3, 1, 1), whole=True)]
    assert stack_of(members, 16, 4).computed(0) == 16
    assert stack_of(members, 8, 4).computed(0) == 16
    assert stack_of(members, 8, 4).moved(0) == 2
    assert stack_of(members, 8, 4).held == (9, 0)
    assert stack_of(members, 1, 1).computed(0) > 16      # too little room to move two rows
    assert stack_of(members, 1, 1).moved(0) == 0
    assert stack_of(members, 16, 4).kept == (True, False)


def test_rows_are_not_computed_again_for_those_behind_that_are_kept():
    high = geometry(32, 3, 1, 1)
    members = [member(None, high), member(0, geometry(32, 1, 1, 0)), member(1, high, whole=True)]
    stack = stack_of(members, 32, 4)
    assert [stack.computed(place) for place in range(3)] == [32, 32, 32]
    assert stack.kept == (False, True, False)
    assert stack.held[0] == 5      # and none of what was there before


@pytest.mark.parametrize("network", [bottlenecks, faces, pyramid])
@pytest.mark.parametrize("outside", [SLOW, "sdram,part=W9825G6KH"])
def test_results_are_those_of_the_model(network, outside):
    graph = network()
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


def in_turns(program):
    """Operators of the layers that take turns."""
    turns = Counter(program.turns.values())
    return {op for layer in program.layers if turns[layer.tag] > 1 for op in layer.op.split("+")}


def test_moves_and_skips_are_among_layers_that_take_turns():
    assert {"MAX_POOL_2D", "PAD", "ADD"} <= in_turns(compile(faces(), CONFIG, outside=SLOW))
    assert {"RESIZE_BILINEAR", "CONCATENATION", "ADD"} <= in_turns(
        compile(pyramid(), CONFIG, outside=SLOW))


def test_what_others_read_too_is_whole():
    """The coarser map of the pyramid is in a stack, and an output's layer reads it behind that."""
    program = compile(pyramid(), CONFIG, outside=SLOW)
    turns = Counter(program.turns.values())
    tags = {layer.output: layer.tag for layer in program.layers}
    assert [t for t in program.tensors if t.id in tags and t.address is not None
            and turns[tags[t.id]] > 1 and t.id not in program.output_ids]
    (inputs,) = seeded_inputs(program.inputs, 1)
    found = diff(program, ["golden", "emulator"], inputs)
    assert found["first_difference"] is None and found["tensors"] > len(program.output_ids)


def test_cycles_of_layers_add_up_and_less_crosses():
    whole = compile(bottlenecks(), CONFIG, outside="ideal")
    slow = dataclasses.replace(whole, outside=SLOW)
    program = compile(bottlenecks(), CONFIG, outside=SLOW)
    rows = summary(program)["layers"]
    assert sum(row["cycles"] for row in rows) == estimate(program).cycles
    assert all(row["cycles"] > 0 for row in rows)
    assert [row["op"] for row in rows if row["op"] != "MOVED"] == [
        layer.op for layer in whole.layers]
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
