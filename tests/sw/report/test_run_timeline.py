"""The timeline of the emulator's runs, and the file of trace events that is made of it."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.trace_file import TraceFile

from kaniwa import cli
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.driver.session import Session
from kaniwa.program.program import Program
from kaniwa.report import unit_track
from kaniwa.report.run_timeline import RunTimeline, WordReader, flat_entries
from kaniwa.report.states import WORK
from kaniwa.report.trace_events import trace_events

INFERENCES = 2


def program() -> Program:
    """Two runs of the device with a host operator between them; names to be escaped."""
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 8), 0.05, 7)
    y = b.conv(b.softmax(b.add(b.conv(x, 8), x)), 4, (1, 1))
    b.ops[0] = dataclasses.replace(b.ops[0], name='a "quoted"\n<name>\u2028')
    graph = b.graph((x,), (y,))
    return compile(graph, dataclasses.replace(PRESETS["small"], vector_unit=False))


def run(compiled: Program) -> tuple[TraceFile, list[dict[str, object]]]:
    timeline = RunTimeline(compiled, "emulator")
    session = Session(compiled, EmulatorDevice(compiled.config))
    session.watch = timeline.watch
    for _ in range(INFERENCES):
        session.run([np.ones((1, 8, 8, 8), np.int8)])
    assert session.stats is not None
    return TraceFile(trace_events(timeline.finished())), session.stats.layers


def test_the_array_track_is_the_layers_statistics() -> None:
    compiled = program()
    file, layers = run(compiled)
    spent = file.by_instruction("array")
    for layer, facts in zip(compiled.layers, layers, strict=True):
        cycles = sum((spent[index] for index in layer.instructions), Counter[str]())
        issued = cycles.pop("work")
        lost = facts["lost"]
        assert isinstance(lost, dict) and isinstance(facts["cycles"], int)
        assert cycles == Counter({name: INFERENCES * lost[name] for name in lost})
        assert issued + cycles.total() == INFERENCES * facts["cycles"]


def test_host_steps_lie_between_the_device_s_in_each_inference() -> None:
    file, layers = run(program())
    steps = file.spans("steps")
    assert [span["name"] for span in steps] == [
        name for number in range(INFERENCES)
        for name in (f"inference {number}", "device", "SOFTMAX", "device")]
    for outer, *inner in zip(*(iter(steps),) * 4, strict=True):
        assert [span["ts"] for span in inner] == [
            outer["ts"], *(span["ts"] + span["dur"] for span in inner[:-1])]
        assert sum(span["dur"] for span in inner) == outer["dur"]
        device = inner[0]["dur"] + inner[2]["dur"]
        assert device == sum(layer["cycles"] for layer in layers)
    assert max(span["ts"] + span["dur"] for span in file.spans("array")) \
        == steps[-1]["ts"] + steps[-1]["dur"]


def test_names_of_layers_are_kept_whatever_is_in_them() -> None:
    compiled = program()
    file, _ = run(compiled)
    names = {event["name"] for event in file.spans("array") if "instruction" in event["args"]}
    assert names == {layer.name for layer in compiled.layers}


def test_a_long_run_is_joined_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = program()
    whole, _ = run(compiled)
    monkeypatch.setattr(unit_track.UnitTrack.__init__, "__defaults__", (40,))
    joined, _ = run(compiled)
    assert whole.content["otherData"]["joined"] == {}
    assert joined.content["otherData"]["joined"].keys() >= {"store", "load"}
    assert len(joined.events) < len(whole.events)
    for unit in ("array", "load", "store", "post"):
        assert joined.by_instruction(unit) == whole.by_instruction(unit)


def test_repeats_of_a_record_become_spans() -> None:
    inner = [[0, 2, 7, 1], [3, 5, 2, [[0, 1, 7, 0], [1, 2, 7, 3]]]]
    columns = flat_entries([[0, 4, 6, 0], [10, 20, 2, inner], [60, 1, 8, 2]])
    assert np.column_stack(columns).tolist() == [
        [0, 4, 6, 0],
        [10, 2, 7, 1], [13, 1, 7, 0], [14, 2, 7, 3], [18, 1, 7, 0], [19, 2, 7, 3],
        [30, 2, 7, 1], [33, 1, 7, 0], [34, 2, 7, 3], [38, 1, 7, 0], [39, 2, 7, 3],
        [60, 1, 8, 2]]


def test_words_that_come_late_are_of_the_instruction_before() -> None:
    reader = WordReader([3, 0, 2, 4])   # words of each

    def named(*spans: tuple[int, int, int, int]) -> list[list[int]]:
        return np.column_stack(reader.name(*np.array(spans).T)).tolist()

    assert named((0, 2, 0, WORK), (2, 3, 0, 4), (5, 3, 2, WORK)) == [
        [0, 2, 0, WORK], [2, 3, 0, 4], [5, 1, 0, WORK], [6, 2, 2, WORK]]
    assert named((9, 1, 3, 4), (10, 3, 3, WORK)) == [[9, 1, 3, 4], [10, 3, 3, WORK]]


def test_the_command_writes_the_file_and_says_what_its_time_is(
        models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.json"
    arguments = ["run", str(models / "tflm_micro_speech.tflite"), "--target", "small", "--limit",
                 "1", "--trace-events", str(target)]
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert not ended.value.code
    assert f"timeline: {target}, 1 us is 1 cycle" in capsys.readouterr().out
    assert TraceFile(target.read_bytes()).content["otherData"]["device"] == "emulator"
    with pytest.raises(SystemExit):
        cli.main([*arguments, "--json"])
    assert json.loads(capsys.readouterr().out)["trace_events"]["file"] == str(target)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("device", ["golden", "sim:icebreaker", "serial:/dev/none"])
def test_other_devices_have_no_timeline(
        device: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", str(models / "tflm_micro_speech.tflite"), "--device", device,
                  "--trace-events", str(tmp_path / "a.json")])
    assert ended.value.code == 2
    assert "--trace-events is for --device sim or emulator" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_is_refused_before_the_run(
        models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "none" / "a.json"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["run", str(models / "tflm_micro_speech.tflite"), "--trace-events",
                      str(path)])
        error = capsys.readouterr().err
        assert ended.value.code == 1 and error.count("\n") == 1 and "cannot be written" in error
