"""`kaniwa selftest` tells whether a device works, and what of it does not."""

import dataclasses
import json

import numpy as np
import pytest

from kaniwa import Session, cli
from kaniwa.boards.board import BOARDS, load_board
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.errors import DeviceError
from kaniwa.selftest.layers import layer_graphs, layer_inputs
from kaniwa.selftest.link_quality import measure_link
from kaniwa.selftest.suite import MODEL, selftest
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport

# A board whose memory is tested in no time over the model of the link, which works byte by byte.
CONFIG = dataclasses.replace(PRESETS["small"], memory_bytes=24 << 10, name="tiny")
TARGETS = {name: config for name, config in PRESETS.items()} | {
    target: load_board(board).config(target)
    for board in BOARDS for target in load_board(board).targets}


@pytest.fixture
def model_path(models):
    return models / MODEL


def results(report):
    return {part.name: part.result for part in report.parts}


def part(report, name):
    return next(p for p in report.parts if p.name == name)


@pytest.mark.parametrize("target", TARGETS)
def test_a_sound_device_of_every_target_passes(target, model_path):
    with devices.open("emulator", target=TARGETS[target]) as device:
        report = selftest(device, model=model_path)
    assert report.verdict == "PASS" and report.passed
    assert results(report) == {"link": "none", "memory": "pass", "array": "pass", "model": "pass"}
    layers = part(report, "array").values["layers"]
    assert len(layers) == len(layer_graphs(TARGETS[target])) >= 6
    assert all(row["checked"] and row["cycles"] == row["estimate"] for row in layers)
    assert part(report, "model").values["checked"] == 12
    assert "LiteRT 2.3.0" in part(report, "model").values["reference"]


def test_the_layers_use_every_mode_and_unit():
    config = PRESETS["base"]
    used = [values for graph in layer_graphs(config)
            for values in compile(graph, target=config).instructions[:-1]]
    for name, values in {"mode": {0, 1, 2, 3}, "add": {0, 1}, "multiply": {0, 1}, "table": {0, 1},
                         "patch": {0, 1}, "weights_stream": {0, 1}, "sliding": {0, 1}}.items():
        assert {instruction[name] for instruction in used} == values, name
    assert any(instruction["ifm_wait"] for instruction in used)


@pytest.mark.parametrize("seed", [1, 2])
def test_results_of_the_layers_are_spread_over_int8(seed):
    """A layer that saturates everywhere would not tell a wrong sum."""
    from kaniwa import golden

    for graph in layer_graphs(PRESETS["base"], seed):
        values = golden.run(graph, layer_inputs(graph, seed)[0])[graph.outputs[0]]
        assert len(np.unique(values)) > 30
        assert np.mean(np.isin(values, (-128, 127))) < 0.35


def board(core=None, faults=None, **options):
    """A device of CONFIG over the model of the link, and the model."""
    model = LinkModel(core or EmulatedCore(CONFIG), pace=300_000)
    seeds = iter(range(10_000))
    device = BoardDevice("board", CONFIG, connect=lambda: FaultyTransport(
        ModelTransport(model, seed=next(seeds)), faults or Faults(), next(seeds)), **options)
    return device, model


def test_a_board_is_tested_with_its_link(model_path):
    device, model = board()
    with device:
        report = selftest(device, model=model_path, memory="quick")
    assert report.verdict == "PASS"
    assert report.device["clock_mhz"] == 25
    link = part(report, "link").values
    assert link["repeated"] == link["damaged"] == link["refused"] == link["timeouts"] == 0
    assert link["frames"] == link["requests"] + link["replies"] > 100
    assert link["write_share"] > 0.9 and link["read_share"] > 0.9   # at most 244 / 256
    assert link["line_bytes_per_second"] == 300_000 and link["bulk_bytes"] in (8 << 10, 24 << 10)
    assert link["round_trip_ms"]["min"] <= link["round_trip_ms"]["median"]


def test_a_bad_line_is_weak_but_answers_are_right(model_path):
    device, model = board(faults=Faults(bit_error=1e-4))
    with device:
        report = selftest(device, model=model_path, memory="quick")
    assert report.passed and report.verdict == "PASS, but weak: link"
    link = part(report, "link")
    assert link.values["repeated"] > 0 and "answers stay exact" in link.text


@pytest.mark.parametrize("pace, memory, depth", [
    (1e6, "auto", "full"), (1e3, "auto", "quick"), (1e3, "full", "full"), (1e6, "quick", "quick")])
def test_memory_is_tested_as_far_as_the_line_allows(pace, memory, depth, monkeypatch):
    from kaniwa.selftest import suite

    monkeypatch.setattr(suite, "measure_link", lambda *arguments: measure_link(*arguments) | {
        "host_bytes_per_second": pace})
    device, _ = board()
    with device:
        tested = part(selftest(device, memory=memory), "memory")
    assert tested.values["depth"] == depth
    assert tested.values["moved_bytes"] == CONFIG.memory_bytes * (18 if depth == "full" else 4)
    assert tested.text.endswith(" (quick: a full test takes 7 minutes here)") == (
        (memory, depth) == ("auto", "quick"))


class StuckCore(EmulatedCore):
    """Bit 6 of the byte at 0x1400 stays 0."""

    def write(self, address, value):
        super().write(address, value & ~64 if address == 0x1400 else value)


def test_a_stuck_bit_in_a_board_s_memory_is_named(model_path):
    device, _ = board(StuckCore(CONFIG))
    with device:
        report = selftest(device, model=model_path, memory="quick")
    assert report.verdict == "FAIL: memory" and not report.passed
    assert part(report, "memory").text == "0x1400: bit 6 stuck at 0"
    assert part(report, "memory").values["faults"] == [
        {"first": 0x1400, "last": 0x1400, "step": 0, "count": 1, "read_as_1": [],
         "read_as_0": [6]}]
    assert results(report)["array"] == results(report)["model"] == "not run"
    assert part(report, "array").text == "left out, for memory failed"


class BadLane(EmulatorDevice):
    """After a run, every eighth byte from ``first`` on has a wrong bit."""

    first = 5         # beyond the four results of the model
    wrong = False

    def run(self, program_address, tags=()):
        self.wrong = True
        return super().run(program_address, tags)

    def write(self, address, data):
        self.wrong = False
        super().write(address, data)

    def read(self, address, count):
        data = bytearray(super().read(address, count))
        if self.wrong:
            for at in range(self.first, count, 8):
                data[at] ^= 16
        return bytes(data)


def test_a_wrong_lane_of_the_array_is_named(model_path):
    report = selftest(BadLane("base"), model=model_path)
    array = part(report, "array")
    first = array.values["layers"][0]["first_mismatch"]
    assert report.verdict == "FAIL: array" and results(report)["model"] == "pass"
    assert array.text.startswith("fully connected 256 to 48: 12 of 96 values differ, first "
                                 f"[0, 5] ({first['got']}, golden {first['golden']}), all in "
                                 "lane 5 of 8; and ")
    assert abs(first["got"] - first["golden"]) == 16


def test_a_wrong_answer_of_the_model_is_named(model_path):
    class Wrong(BadLane):
        first = 1

        def run(self, program_address, tags=()):
            statistics = super().run(program_address, tags)
            self.wrong = statistics.retired > 1 and statistics.cycles > 4000   # no layer's
            return statistics

    report = selftest(Wrong("base"), model=model_path)
    assert report.verdict == "FAIL: model"
    assert "values differ, first [0, 1]" in part(report, "model").text


def test_a_cable_pulled_in_a_part_is_that_part_s_failure(model_path):
    device, model = board()
    seen = []

    def pull(text):
        seen.append(text)
        if text.startswith("memory: 5"):
            model.core = None     # the model cannot answer any more

    model.receive = lambda data, receive=model.receive: b"" if model.core is None else receive(data)
    with device:
        report = selftest(device, model=model_path, memory="quick", progress=pull)
    assert report.verdict == "FAIL: memory"
    assert part(report, "memory").text == ("model: the device stopped answering: check cable and "
                                           "power, then run again")
    assert results(report)["array"] == "not run"


def test_what_cannot_be_tested_is_said(models):
    with devices.open("emulator", target="small") as device:
        report = selftest(device, model=models / "mlperf_ic_resnet8.tflite")
        assert report.passed and report.verdict == "PASS (not run: model)"
        assert "needs 118 KiB" in part(report, "model").text
        report = selftest(device, model=None)
    assert report.passed and report.verdict == "PASS (not run: model)"
    with pytest.raises(DeviceError, match="golden device has no device memory to test"):
        selftest(devices.open("golden"))


def test_layers_that_do_not_fit_are_left_out_and_said():
    small, tiny = (dataclasses.replace(CONFIG, memory_bytes=kib << 10) for kib in (8, 1))
    with devices.open("emulator", target=small) as device:
        array = part(selftest(device), "array")
    assert array.result == "pass" and array.text.endswith("; 3 do not fit")
    assert all("KiB" in why for why in array.values["left_out"])
    with devices.open("emulator", target=tiny) as device:
        report = selftest(device)
    assert report.verdict == "PASS (not run: array, model)"
    assert part(report, "array").text.startswith("no layer fits: fully connected 256 to 48: needs ")


def test_sessions_of_the_device_load_their_image_again(model_path):
    from kaniwa.data.inputs import recorded_inputs

    with devices.open("emulator", target="small") as device:
        session = Session(compile(model_path, target="small"), device)
        (item, *_) = recorded_inputs(model_path)
        before = session.run(item)
        selftest(device, memory="quick")
        again = session.run(item)
    assert all(np.array_equal(before[name], again[name]) for name in before)


def test_the_command_writes_a_report_and_says_its_verdict(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["selftest", "--device", "emulator", "--target", "small", "--report",
                  str(tmp_path / "report.txt"), "--json"])
    values = json.loads(capsys.readouterr().out)
    assert stopped.value.code == 0 and values["passed"] and values["verdict"] == "PASS"
    assert [p["part"] for p in values["parts"]] == ["link", "memory", "array", "model"]
    page = (tmp_path / "report.txt").read_text()
    assert page.startswith("kaniwa self-test: PASS\n") and "max pooling 2 x 2" in page


def test_the_command_s_exit_status_is_1_where_a_part_fails(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["selftest", "--device", "emulator", "--stuck-bit", "0x3ffff:7=1"])
    output = capsys.readouterr().out
    assert stopped.value.code == 1
    assert "0x3ffff: bit 7 stuck at 1" in output and output.endswith("\nFAIL: memory\n")


def test_a_report_that_cannot_be_written_does_not_hide_what_was_found(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["selftest", "--device", "emulator", "--report", "/dev/full"])
    captured = capsys.readouterr()
    assert stopped.value.code == 1
    assert "values equal to golden" in captured.out
    assert captured.err.startswith("kaniwa: /dev/full: cannot be written (No space left")


@pytest.mark.parametrize("arguments, message", [
    (["--device", "golden"], "the golden device has no device memory to test: name the emulator, "
                             "sim or a board"),
    (["--device", "emulator", "--stuck-bit", "5"], "stuck bit '5': expected ADDRESS:BIT=VALUE, for "
                                                   "example 0x1234:5=1"),
    (["--device", "serial:/dev/no_such_port"], "/dev/no_such_port: no such port; `kaniwa devices` "
                                               "lists what is plugged in"),
])
def test_what_the_command_refuses_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["selftest", *arguments])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"kaniwa: {message}\n"
