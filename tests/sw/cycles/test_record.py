"""The event record says what the counters say, and is read back as it was written."""

import json
from collections import Counter
from pathlib import Path

import pytest

import kaniwa
from kaniwa.cycles.record import EventRecord, record
from kaniwa.errors import ProgramError

MODELS = Path(__file__).parents[3] / "models"
CASES = [("nano", "mlperf_sww_1d.tflite", None), ("base", "mlperf_ic_resnet8.tflite", None),
         ("base_vector", "digits_transformer.tflite", None),
         ("base_recurrent", "tflm_mnist_lstm.tflite", None),
         ("small", "mlperf_kws_dscnn.tflite", "sdram,bytes=2,latency=4"),
         ("xl", "cfu_mbv2_160_035.tflite", "sdram,bytes=16,latency=50")]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request):
    target, file, outside = request.param
    program = kaniwa.compile(MODELS / file, target=target, outside=outside)
    return program, record(program)


def test_work_and_waits_of_the_array_are_the_counters(case):
    program, made = case
    sums = {v.tag: Counter() for v in made.instructions}
    for first, cycles, index, state in made.flat("array"):
        v = made.instructions[index]
        assert v.first <= first and first + cycles <= v.first + v.cycles
        sums[v.tag]["issued" if not state else made.causes[state - 1]] += cycles
    statistics = kaniwa.estimate(program)
    assert made.cycles == statistics.cycles
    for layer in statistics.per_tag(list(sums)):
        assert sums[layer.tag] == +Counter({"issued": layer.issued, **layer.lost})


def test_instructions_follow_on_each_other(case):
    program, made = case
    at = 0
    for number, v in enumerate(made.instructions):
        assert (v.index, v.first) == (number, at)
        at += v.cycles
    assert at == made.cycles
    assert {(v.tag, v.name, v.op) for v in made.instructions} == {
        (layer.tag, layer.name, layer.op) for layer in program.layers}


def test_entries_are_in_order_and_do_not_overlap(case):
    _, made = case
    for unit in made.units:
        at = 0
        for first, cycles, _, _ in made.flat(unit):
            assert first >= at and cycles > 0
            at = first + cycles
        assert at <= made.cycles


def test_the_record_is_small_and_read_back(case):
    _, made = case
    text = made.as_json()
    assert len(text) < 400_000
    assert EventRecord.from_json(text) == made


def test_each_unit_of_the_target_is_there():
    program = kaniwa.compile(MODELS / "mlperf_sww_1d.tflite", target="base_recurrent")
    assert record(program).units == ("commands", "load", "weights", "array", "post", "operand",
                                     "store", "vector", "cell")


def changed(**changes):
    return json.dumps({
        "format": "kaniwa.events", "version": 1, "target": "base", "model": "m", "cycles": 9,
        "causes": ["load"], "units": ["array"], "spans": {"array": [[0, 2, 0, 1]]},
        "instructions": [{"index": 0, "tag": 0, "name": "n", "op": "o", "first": 0, "cycles": 9}],
        } | changes)


def test_the_smallest_record_is_read_and_written():
    assert json.loads(EventRecord.from_json(changed()).as_json()) == json.loads(changed())


@pytest.mark.parametrize("text", [
    "", "[]", "{}", "[" * 100_000, changed()[:-9], changed(format="other"), changed(version=2),
    changed(cycles=-1), changed(causes=[]), changed(units=["post"]), changed(instructions=[]),
    changed(instructions=[{"index": 0}]), changed(model=None),
    changed(spans={"array": [[0, 2, 0]]}), changed(spans={"array": [[5, 2, 0, 0], [6, 2, 0, 0]]}),
    changed(spans={"array": [[0, 2, 0, 2]]}), changed(spans={"array": [[0, 2, 1, 0]]}),
    changed(spans={"array": [[0, 2, 3, [[1, 2, 0, 0]]]]}),
    changed(spans={"array": [[0, "2", 0, 0]]}),
])
def test_a_damaged_record_is_refused_in_a_line(text):
    with pytest.raises(ProgramError) as error:
        EventRecord.from_json(text)
    assert "event record: " in str(error.value) and "\n" not in str(error.value)
