"""Stepping over rows changes nothing: cycles, counters, causes and the record are the same."""

import ast
import inspect
import textwrap
from pathlib import Path

import pytest
from builders.instructions.layer_cases import random_case

import kaniwa
from kaniwa.config import PRESETS
from kaniwa.cycles import gather, results, store
from kaniwa.cycles.folding import PACE
from kaniwa.cycles.log import Log
from kaniwa.cycles.model import model_run
from kaniwa.cycles.readers import commands, load, operand, weights
from kaniwa.cycles.steady import Steady
from kaniwa.isa import OUTSIDE, Mode
from kaniwa.timing import Timing

MODELS = Path(__file__).parents[3] / "models"
TARGETS = [name for name, config in PRESETS.items() if not config.compact]
CASES = [
    ("base", "mlperf_ic_resnet8.tflite", None),
    ("small", "mlperf_vww_mbv1_96.tflite", "sdram,bytes=2,latency=4"),
    ("large", "cfu_mbv2_160_035.tflite", "ideal"),
    ("small", "mlperf_ic_resnet8.tflite", "sdram,part=IS42S16160G"),
    ("xl", "cfu_mbv2_160_035.tflite", "sdram,bytes=16,latency=50")]
TIMINGS = (None, Timing(10, 4), Timing(4, 2), Timing(50, 16),
           Timing.of(PRESETS["base"], "sdram,part=M12L64322A,ratio=2"))


@pytest.fixture
def left_out(monkeypatch):
    """Rows that were left out, in all runs so far."""
    rows = []
    leave_out = Steady._leave_out

    def counted(self, before, now, times):
        rows.append(times * (now.row - before.row))
        leave_out(self, before, now, times)

    monkeypatch.setattr(Steady, "_leave_out", counted)
    return rows


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
def test_models_and_what_their_units_do(target, file, outside, left_out):
    program = kaniwa.compile(MODELS / file, target=target, outside=outside)
    run, = program.runs
    part = program.instructions[run.first:run.first + run.count - 1]
    timing = Timing.of(program.config, program.outside)
    logs = Log(), Log()
    runs = [model_run(program.config, part, program.read, timing, log=log, stepping=stepping)
            for log, stepping in zip(logs, (True, False), strict=True)]
    assert sum(left_out) > 0
    assert runs[0] == runs[1]
    assert logs[0].retired == logs[1].retired
    for unit, track in logs[0].tracks.items():
        assert spans_of(track) == spans_of(logs[1].tracks[unit]), unit


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


@pytest.mark.parametrize("generator, kinds", [
    (commands.Commands._fetch, commands.LOCALS), (load.Load._read, load.LOCALS),
    (weights.WeightPath._fetch, weights.FETCH), (weights.WeightPath._decode, weights.DECODE),
    (operand.OperandPath._read, operand.LOCALS), (results.Results._post, results.LOCALS),
    (store.Store._fill, store.FILL), (store.Store._store, store.STORE),
    (store.Store._combine, store.COMBINE), (gather.Gather._read, gather.LOCALS)])
def test_each_local_of_a_generator_has_its_kind(generator, kinds):
    named = [*kinds.times, *kinds.places, *kinds.others]
    function = ast.parse(textwrap.dedent(inspect.getsource(generator))).body[0]
    assert sorted(named) == sorted(set(local_names(function)) | {"self"})


def local_names(node):
    """Names that a function binds, without those of a comprehension."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if isinstance(node, ast.arg):
        yield node.arg
    if not isinstance(node, ast.ListComp):
        for child in ast.iter_child_nodes(node):
            yield from local_names(child)
