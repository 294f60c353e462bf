"""Stepping over rows changes nothing: cycles, counters, causes and the record are the same."""

import ast
import dataclasses
import random
from pathlib import Path

import pytest
from builders.instructions.layer_cases import random_case

import kaniwa
from kaniwa.config import PRESETS
from kaniwa.cycles import gather, results, store
from kaniwa.cycles.log import PACE, Log
from kaniwa.cycles.model import model_run
from kaniwa.cycles.readers import commands, load, operand, weights
from kaniwa.isa import OUTSIDE, Mode
from kaniwa.timing import Timing

MODELS = Path(__file__).parents[3] / "models"
CYCLES = Path(kaniwa.__file__).parent / "cycles"
TARGETS = [name for name, config in PRESETS.items() if not config.compact]
CASES = [
    ("base", "mlperf_ic_resnet8.tflite", None),
    ("small", "mlperf_vww_mbv1_96.tflite", "sdram,bytes=2,latency=4"),
    ("large", "cfu_mbv2_160_035.tflite", "ideal"),
    ("small", "mlperf_ic_resnet8.tflite", "sdram,part=IS42S16160G"),
    ("xl", "cfu_mbv2_160_035.tflite", "sdram,bytes=16,latency=50")]
NANO = PRESETS["nano"]
COMPACT = [NANO, dataclasses.replace(NANO, ring_bytes=256, line_bytes=1024, requant_cycles=16),
           dataclasses.replace(NANO, ring_bytes=256, line_bytes=512, out_lanes=2)]
TIMINGS = (None, Timing(10, 4), Timing(4, 2), Timing(50, 16),
           Timing.of(PRESETS["base"], "sdram,part=M12L64322A,ratio=2"))


def same(config, instructions, read=None, outside=None):
    """The statistics with and without stepping are the same."""
    return (model_run(config, instructions, read, outside)
            == model_run(config, instructions, read, outside, stepping=False))


def tall(values, rows):
    """The instruction with as many output rows, and the input that they take."""
    need = ((rows - 1) * values["stride_rows"] + (values["kernel_rows"] - 1)
            * values["dilation_rows"] + 1 - values["pad_top"])
    return values | {"ofm_rows": rows, "ifm_rows": max(1, need)}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mode", Mode)
def test_random_instructions(target, mode):
    config = PRESETS[target]
    for seed in range(6):
        layers = []
        for number in range(3):
            values = random_case(1000 * seed + number, config, mode).values
            changes = {"tag": number, "ifm_wait": number if seed % 3 else 0,
                       "ifm_watermark": seed % 2, "store_in_order": seed % 2}
            if seed > 3:
                changes |= {"ifm_address": values["ifm_address"] | OUTSIDE,
                            "ofm_address": values["ofm_address"] | OUTSIDE}
            layers.append(tall(values | changes, 12 + 5 * number))
        for outside in TIMINGS:
            assert same(config, layers, outside=outside), (seed, outside)


@pytest.mark.parametrize("target, file, outside", CASES)
def test_models_and_what_their_units_do(target, file, outside):
    program = kaniwa.compile(MODELS / file, target=target, outside=outside)
    run, = program.runs
    part = program.instructions[run.first:run.first + run.count - 1]
    log = same_spans(program.config, part, Timing.of(program.config, program.outside), program.read)
    assert any(track.spans().repeats for track in log.tracks.values())


def same_spans(config, layers, outside, read=None):
    """The log of the units; statistics and logs are the same with and without stepping."""
    logs = Log(), Log()
    runs = [model_run(config, layers, read, outside, log=log, stepping=stepping)
            for log, stepping in zip(logs, (True, False), strict=True)]
    assert runs[0] == runs[1]
    assert logs[0].retired == logs[1].retired
    assert spans_of(logs[0].lost) == spans_of(logs[1].lost)
    for unit, track in logs[0].tracks.items():
        assert spans_of(track) == spans_of(logs[1].tracks[unit]), unit
    return logs[0]


def compact_layer(seed, config, rows, columns):
    """A random instruction of a compact core, with each address in either memory."""
    rng = random.Random(seed)
    add, stream = rng.random() < 0.4, rng.random() < 0.5
    mode = rng.choice((Mode.DENSE, Mode.DENSE, Mode.DEPTHWISE))
    values = random_case(seed, config, mode, add=add, table=not add and rng.random() < 0.3,
                         stream=stream).values
    places = ("parameter_address", "weight_address", "ifm_address", "operand_address",
              "ofm_address")
    outside = {place: values[place] | OUTSIDE for place in places if rng.random() < 0.4}
    return tall(values | outside | {
        "ofm_columns": columns, "weight_repeat": rows * columns if stream else 1}, rows)


@pytest.mark.parametrize("config", COMPACT, ids=["nano", "small_buffers", "two_lanes"])
@pytest.mark.parametrize("outside", [
    *TIMINGS[:3], Timing(200, 2), Timing.of(NANO, "sdram,part=IS42S16160G"),
    Timing.of(NANO, "sdram,part=EM638325,clock=80,mask=0")],
    ids=["ideal", "10_4", "4_2", "200_2", "part", "part_without_mask"])
def test_random_instructions_of_a_compact_core_and_what_its_units_do(config, outside):
    for seed in range(8):
        layers = [compact_layer(10 * seed + number, config, 5 + seed, 12 - seed) | {"tag": number}
                  for number in range(2)]
        same_spans(config, layers, outside or Timing.of(config))


@pytest.mark.parametrize("file, outside", [
    ("tflm_micro_speech.tflite", None), ("mlperf_kws_dscnn.tflite", None),
    ("mlperf_kws_dscnn.tflite", "sdram,part=IS42S16160G")])
def test_models_on_a_compact_core(file, outside):
    config = dataclasses.replace(NANO, outside_bits=23, memory_bytes=1 << (15 if outside else 17))
    program = kaniwa.compile(MODELS / file, target=config, outside=outside)
    (run,) = program.runs
    assert same(program.config, program.instructions[run.first:run.first + run.count - 1],
                program.read, Timing.of(program.config, program.outside))


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_a_compact_core_that_are_left_out_cost_as_much_as_those_before(seed):
    """A million pixels; one by one they take minutes."""
    cycles = [model_run(NANO, [compact_layer(seed, NANO, rows, 1000)], None,
                        Timing(10, 4)).cycles for rows in (999, 1000, 1001)]
    assert cycles[2] - cycles[1] == cycles[1] - cycles[0] >= 1000


def spans_of(track):
    """Spans of a track, with those that repeat; pauses of a unit's own pace are work."""
    told = track.spans()
    flat = list(zip(*(column.tolist() for column in told[:4]), strict=True))
    spans, place = [], 0
    for repeat in told.repeats:
        of_period = flat[repeat.first:repeat.after]
        spans += flat[place:repeat.after]
        for later in range(repeat.period, repeat.times * repeat.period + 1, repeat.period):
            spans += [(first + later, after + later, *rest) for first, after, *rest in of_period]
        place = repeat.after
    joined = []
    for first, after, *rest in (*spans, *flat[place:]):
        pace = 0 if rest[1] else PACE
        if joined and joined[-1][2:] == rest and first <= joined[-1][1] + pace:
            joined[-1][1] = after
        else:
            joined.append([first, after, *rest])
    return joined


@pytest.mark.parametrize("file, generator, frame, kinds", [
    ("readers/commands.py", "_fetch", "_Fetch", commands.FETCH),
    ("readers/load.py", "_read", "_Read", load.READ),
    ("readers/weights.py", "_fetch", "_Fetch", weights.FETCH),
    ("readers/weights.py", "_decode", "_Decode", weights.DECODE),
    ("readers/operand.py", "_read", "_Read", operand.READ),
    ("results.py", "_post", "_Post", results.POST),
    ("store.py", "_fill", "_Fill", store.FILL), ("store.py", "_store", "_Store", store.STORE),
    ("store.py", "_combine", "_Combine", store.COMBINE),
    ("gather.py", "_read", "_Read", gather.READ)])
def test_each_variable_of_a_generator_has_its_kind(file, generator, frame, kinds):
    tree = ast.parse((CYCLES / file).read_text())
    found = {node.name: node for node in ast.walk(tree)
             if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    kept = set(attributes(found[frame], "self")) - {"at"}
    assert set(attributes(found[generator], "own")) - {"at"} <= kept
    named = [*kinds.times, *kinds.places, *kinds.others]
    assert sorted(named) == sorted(kept | set(local_names(found[generator])) | {"self"})
    assert kept >= {*kinds.times, *kinds.places} >= set(kinds.told)


@pytest.mark.parametrize("file", [
    "gather.py", "results.py", "store.py",
    *(f"readers/{name}.py" for name in ("commands", "load", "operand", "weights"))])
def test_each_place_where_a_generator_waits_has_its_number(file):
    tree = ast.parse((CYCLES / file).read_text())
    checked = 0
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and any(attributes(function, "own")):
            places = list(numbers_of_yields(function))
            assert places == list(range(1, len(places) + 1)), function.name
            checked += len(places)
    assert checked


def numbers_of_yields(node):
    """For each yield, in order, what ``own.at`` is set to in the statement before it, else None."""
    for _, body in ast.iter_fields(node):
        if isinstance(body, list):
            for before, statement in zip([None, *body], body, strict=False):
                if isinstance(statement, ast.Expr | ast.Assign) and any(
                        isinstance(part, ast.Yield | ast.YieldFrom)
                        for part in ast.walk(statement)):
                    sets = isinstance(before, ast.Assign) and list(attributes(before, "own"))
                    yield before.value.value if sets == ["at"] else None
                elif isinstance(statement, ast.stmt):
                    yield from numbers_of_yields(statement)


def attributes(node, owner):
    """Attributes of the variable ``owner`` that are assigned."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and isinstance(
                part.value, ast.Name) and part.value.id == owner:
            yield part.attr


def local_names(node):
    """Names that a function binds, without those of a comprehension."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if isinstance(node, ast.arg):
        yield node.arg
    if not isinstance(node, ast.ListComp):
        for child in ast.iter_child_nodes(node):
            yield from local_names(child)
