"""`kaniwa estimate` for boards: fits or not, clock, time on the line, bottleneck."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from kaniwa import Session, cli
from kaniwa.boards.board import BOARDS, load_board
from kaniwa.boards.flow.estimate import board_clock, estimate_board, every_target
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.link_time import link_time
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport

SPEECH = "tflm_micro_speech.tflite"


@pytest.fixture(scope="module")
def speech(models: Path) -> Graph:
    return load_model(models / SPEECH)


def build_summary(folder: Path, **changes: Any) -> None:
    """What a build of the iCEBreaker leaves of interest here."""
    board = load_board("icebreaker")
    values = {"config": board.config("nano").hash, "target_mhz": 24.0, "meets_timing": True,
              "clock_mhz": {"worst": 24.5, "median": 25.0, "best": 26.0}} | changes
    (folder / "icebreaker-nano.json").write_text(json.dumps(values))


def test_a_row_has_compute_link_and_bottleneck(speech: Graph) -> None:
    values = estimate_board(speech, load_board("ulx3s_85f"), "base")
    program = compile(speech, target="base")
    assert values["fits"] and values["cycles"] == estimate(program).cycles
    assert values["milliseconds"] == pytest.approx(values["cycles"] / 100e3)
    assert values["total_milliseconds"] == pytest.approx(
        values["milliseconds"] + values["link_milliseconds"])
    assert values["inferences_per_second"] == pytest.approx(1e3 / values["total_milliseconds"])
    assert (values["input_bytes"], values["output_bytes"]) == (1960, 4)
    # 9 frames of up to 244 bytes, 12 more each: 6.9 ms, and the rest of the exchanges
    assert 6.8 < values["link_milliseconds"] < 8 and values["bottleneck"] == "link"
    assert values["memory_bytes"] <= values["available_bytes"] == 256 << 10


def test_the_slowest_part_is_named(speech: Graph, models: Path) -> None:
    assert estimate_board(speech, load_board("icebreaker"), "nano")["bottleneck"] == "link"
    slow = dataclasses.replace(load_board("icebreaker"), targets={"nano": 5.0})
    assert estimate_board(speech, slow, "nano")["bottleneck"] == "array"
    keywords = load_model(models / "mlperf_kws_dscnn.tflite")
    assert estimate_board(keywords, slow, "nano")["bottleneck"] == "requantize"
    slow = dataclasses.replace(load_board("ulx3s_85f"), targets={"base": 0.1})
    assert estimate_board(speech, slow, "base")["bottleneck"] == "array"


def test_a_model_that_does_not_fit_says_how_much_is_missing(models: Path) -> None:
    graph = load_model(models / "mlperf_ic_resnet8.tflite")
    values = estimate_board(graph, load_board("ulx3s_25f"), "small")
    assert not values["fits"] and values["why"] == "needs 118 of 64 KiB"
    assert values["memory_bytes"] > values["available_bytes"] == 64 << 10


def test_another_reason_not_to_fit_is_quoted(speech: Graph, tmp_path: Path) -> None:
    (tmp_path / "narrow.toml").write_text('base = "small"\nline_bytes = 256\n')
    board = dataclasses.replace(load_board("ulx3s_25f"),
                                files={"narrow": tmp_path / "narrow.toml"})
    *ops, softmax = speech.ops
    graph = dataclasses.replace(speech, ops=tuple(ops), outputs=softmax.inputs)
    values = estimate_board(graph, board, "narrow", require_accelerator=True)
    assert not values["fits"] and values["memory_bytes"] is None
    assert "FULLY_CONNECTED" in values["why"] and "line buffer" in values["why"]


@pytest.mark.parametrize("target", ["small", "nano", "base"])
def test_the_link_s_bytes_are_those_of_the_driver(target: str, models: Path,
                                                  speech: Graph) -> None:
    program = compile(speech, target=target)
    with BoardDevice("board", connect=lambda: ModelTransport(
            LinkModel(EmulatedCore(PRESETS[target])))) as device:
        began = device.line_seconds()
        session = Session(program, device)
        loading = device.line_seconds() - began
        before = dataclasses.replace(device.link_statistics)
        began = device.line_seconds()
        session.run(recorded_inputs(models / SPEECH)[0])
        seconds = device.line_seconds() - began
        after = device.link_statistics
    line = link_time(program, 300_000)
    assert line.to_device == after.bytes_sent - before.bytes_sent
    assert line.from_device == after.bytes_received - before.bytes_received
    # The model's line carries one direction at a time.
    assert line.seconds < seconds < 1.3 * line.seconds
    assert line.load_seconds < loading < 1.1 * line.load_seconds


def test_the_pace_is_that_of_the_boards_uart(speech: Graph) -> None:
    fast = load_board("icebreaker")
    slow = dataclasses.replace(fast, baud=115_200)
    values = [estimate_board(speech, board, "nano") for board in (fast, slow)]
    assert [found["link_bytes_per_second"] for found in values] == [300_000, 11_520]
    times = [found["link_milliseconds"] for found in values]
    assert times[1] == pytest.approx(times[0] * 300_000 / 11_520)


def test_the_built_clock_counts_where_there_is_a_build(tmp_path: Path) -> None:
    board = load_board("icebreaker")
    assert board_clock(board, "nano", tmp_path).source == "target"
    build_summary(tmp_path)
    clock = board_clock(board, "nano", tmp_path)
    assert (clock.mhz, clock.source, clock.note) == (24.0, "built", "")
    build_summary(tmp_path, meets_timing=False,
                  clock_mhz={"worst": 19.5, "median": 20.0, "best": 21.0})
    clock = board_clock(board, "nano", tmp_path)
    assert (clock.mhz, clock.source) == (19.5, "built")
    assert clock.note == "the worst seed's: 24 MHz is not met"


@pytest.mark.parametrize("text, note", [
    ('{"config": "0123456789abcdef"}', "the build there is of another config"),
    ("not JSON", "the build's summary there cannot be read"),
    ("[1]", "the build's summary there cannot be read"),
    ("", "the build's summary there cannot be read"),
])
def test_a_build_that_is_of_no_use_is_said(text: str, note: str, tmp_path: Path) -> None:
    (tmp_path / "icebreaker-nano.json").write_text(text)
    clock = board_clock(load_board("icebreaker"), "nano", tmp_path)
    assert (clock.mhz, clock.source, clock.note) == (20.25, "target", note)


def test_a_target_of_another_board_is_said(speech: Graph, tmp_path: Path) -> None:
    values = estimate_board(speech, load_board("icebreaker"), "base", builds=tmp_path)
    assert values["fits"] and values["clock_mhz"] == 20.25
    assert values["clock_note"] == ("not a target of this board: the clock is that of nano, and "
                                    "only a build tells whether it fits the FPGA")
    tang = load_board("tang_primer_20k")
    file = str(tang.files["tang_primer_20k"])
    assert estimate_board(speech, tang, file, builds=tmp_path)["clock_note"] == ""


def test_all_boards_are_rows_of_one_table(models: Path, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["estimate", str(models / "mlperf_ic_resnet8.tflite"), "--all-boards", "--builds",
                 str(tmp_path)]
    values = json.loads(_output(capsys, [*arguments, "--json"]))
    assert [(row["board"], row["target"]) for row in values["boards"]] == [
        (board.name, target) for board, target in every_target()]
    assert {row["board"] for row in values["boards"]} == set(BOARDS)
    assert {row["board"] for row in values["boards"] if row["fits"]} == {
        "colorlight_i5_sdram", "crosslink_nx", "ecpix5_85f", "ecpix5_85f_ddr3", "icebreaker",
        "orangecrab_85f_ddr3", "tang_nano_20k_sdram", "ulx3s_85f", "ulx3s_85f_sdram",
        "ulx3s_25f_sdram"}
    assert sum(row["fits"] for row in values["boards"]) == 15
    build_summary(tmp_path, meets_timing=False)
    text = _output(capsys, arguments)
    assert "does not fit: needs 121 of 64 KiB" in text
    assert "24.5*" in text and "* the clock of the build" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "icebreaker, nano: the worst seed's: 24 MHz is not met" in text


def test_one_board_has_its_layers_too(models: Path, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["estimate", str(models / SPEECH), "--board", "ulx3s_85f", "--builds",
                 str(tmp_path)]
    values = json.loads(_output(capsys, [*arguments, "--target", "large", "--json"]))
    assert values["target"] == "large" and values["clock_mhz"] == 80
    assert sum(layer["cycles"] for layer in values["layers"]) == values["cycles"]
    text = _output(capsys, arguments)
    assert "CONV_2D" in text and re.search(r"\bulx3s_85f +100 ", text)


def test_a_model_that_does_not_fit_a_board_is_exit_status_1(
        models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = _output(capsys, ["estimate", str(models / "mlperf_ic_resnet8.tflite"), "--board",
                            "ulx3s_25f"], status=1)
    assert "does not fit: needs 118 of 64 KiB" in text and "--all-boards shows where" in text


@pytest.mark.parametrize("arguments, status, message", [
    (["--board", "ulx3s_85f", "--outside", "sdram"], 1,
     "kaniwa: a board has the outside memory that is on it: leave --outside out"),
    (["--all-boards", "--target", "base"], 2,
     "kaniwa: --all-boards takes neither --board nor --target (see kaniwa estimate --help)"),
    (["--board", "arty"], 1, "kaniwa: unknown board 'arty': give one of " + ", ".join(BOARDS)),
])
def test_what_is_refused_is_one_line(arguments: list[str], status: int, message: str,
                                     models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["estimate", str(models / SPEECH), *arguments])
    assert stopped.value.code == status
    assert capsys.readouterr().err == message + "\n"


def _output(capsys: pytest.CaptureFixture[str], arguments: list[str], status: int = 0) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    captured = capsys.readouterr()
    assert (stopped.value.code or 0) == status, captured.err
    return captured.out
