"""What is said of answers that differ, of boards that cannot be checked, and a whole board's check.
"""

import dataclasses
import json

import pytest

from kaniwa import cli
from kaniwa.boards.board import load_board
from kaniwa.errors import BuildError
from kaniwa.sim.netlist.check import Answers, check_netlists, mismatches, require_models

pytestmark = pytest.mark.rtl
RTL = Answers("RTL", "PASS (not run: model)", 0, 100, 5000, 90_000, "0123", 1.0)


def test_equal_answers_are_no_mismatch():
    assert mismatches([RTL, dataclasses.replace(RTL, name="routed", seconds=9.0)]) == 0


@pytest.mark.parametrize(("change", "count"), [
    ({"digest": "4567"}, 1), ({"wrong": 3}, 3), ({"verdict": "FAIL: array"}, 1),
    ({"digest": "4567", "wrong": 2, "verdict": "FAIL: array"}, 4)])
def test_answers_that_differ_count(change, count):
    assert mismatches([RTL, dataclasses.replace(RTL, name="routed", **change)]) == count


def test_a_family_without_models_is_refused_before_the_build(capsys):
    with pytest.raises(BuildError, match="the cells of gowin have no models"):
        require_models(load_board("tang_primer_20k"))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bitstream", "--board", "tang_primer_20k", "--check-netlist"])
    assert stopped.value.code != 0
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_another_clock_than_the_gatewares_is_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(["bitstream", "--board", "icebreaker", "--clock-mhz", "18", "--check-netlist"])
    assert "leave out --clock-mhz" in capsys.readouterr().err


def test_a_model_is_asked_in_place_of_the_self_test(models, tmp_path, monkeypatch):
    """Here of the gateware alone, as a netlist takes long; the second time it is known."""
    monkeypatch.setattr("kaniwa.sim.netlist.check.cache_folder", lambda: tmp_path)
    board = load_board("icebreaker")
    told = []
    [answers] = check_netlists(board, board.config("nano"), {}, told.append,
                               model=models / "tflm_micro_speech.tflite")
    assert answers.verdict == "PASS (memory alone)"
    assert (answers.wrong, answers.checked) == (0, 4) and 0 < answers.cycles < 100_000
    assert answers.line_cycles < 3_000_000 and "RTL: inference of tflm_micro_speech" in told
    assert mismatches([answers]) == 0
    told.clear()
    assert check_netlists(board, board.config("nano"), {}, told.append,
                          model=models / "tflm_micro_speech.tflite") == [answers]
    assert not told
    [kept] = (tmp_path / "netlist-answers").iterdir()
    assert json.loads(kept.read_text())["line_cycles"] == answers.line_cycles


def test_a_model_without_recorded_inputs_is_refused_before_the_build(tmp_path, models, capsys):
    model = tmp_path / "mine.tflite"
    model.write_bytes((models / "tflm_micro_speech.tflite").read_bytes())
    with pytest.raises(SystemExit):
        cli.main(["bitstream", "--board", "icebreaker", "--check-netlist", "--check-model",
                  str(model)])
    [line] = capsys.readouterr().err.splitlines()
    assert "mine" in line


@pytest.mark.long
def test_a_whole_boards_netlists_answer_as_its_gateware(tmp_path, capsys):
    cli.main(["bitstream", "--board", "icebreaker", "--check-netlist", "-o", str(tmp_path),
              "--json"])
    gateware, synthesized, routed = json.loads(capsys.readouterr().out)["netlists"]
    for answers in (gateware, synthesized, routed):
        assert answers["verdict"].startswith("PASS") and answers["wrong"] == 0
        assert answers["cycles"] == gateware["cycles"] and answers["checked"] > 1000
    assert gateware["digest"] == synthesized["digest"] == routed["digest"]
