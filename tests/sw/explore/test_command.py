"""``kaniwa explore`` on the command line."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from kaniwa import cli
from kaniwa.config import load_target
from kaniwa.explore import search as search_module


@pytest.fixture
def line(models: Path, tmp_path: Path) -> list[str]:
    return ["explore", str(models / "tflm_micro_speech.tflite"), "--board", "icebreaker",
            "--objective", "area", "-n", "3", "-o", str(tmp_path / "found")]


def run(arguments: list[str], status: int) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == status


def test_files_are_written_that_go_on(line: list[str], tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    run([*line, "--json", "--device", "emulator"], 0)
    shown = json.loads(capsys.readouterr().out)
    folder = tmp_path / "found"
    assert shown == json.loads((folder / "explore.json").read_text()) | {"elsewhere": []}
    assert (folder / "explore.svg").read_text().startswith("<?xml")
    (checked,) = shown["confirmed"]
    assert checked["counted"] == checked["modelled"] > 0 and checked["mismatches"] == 0
    rows = [row for row in shown["front"] if row["file"]]
    assert {row["file"] for row in rows} == {path.name for path in folder.glob("*.toml")}
    for row in rows:
        assert load_target(folder / row["file"]).hash == row["hash"]


def test_the_table_fits_into_80_columns(line: list[str], capsys: pytest.CaptureFixture[str]
                                        ) -> None:
    run(line, 0)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "icebreaker: configs that no other one beats, by area"
    assert all(len(text) <= 80 for text in shown if not text.startswith(("wrote", "target")))
    assert any("configs measured" in text for text in shown)


def test_an_interrupt_shows_what_there_is(line: list[str], monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object) -> Iterable[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(search_module, "run_trials", stopped)
    run(line, cli.INTERRUPTED_STATUS)
    shown = capsys.readouterr().out
    assert "0 configs measured, interrupted; the preset nano is best" in shown
    assert "explore.json" in shown


def test_a_board_that_cannot_says_why_and_what_could(
        models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["explore", str(models / "mlperf_ad_fc_ae.tflite"), "--board", "icebreaker", "-n", "1"], 1)
    shown = capsys.readouterr().out
    assert "target nano: too little memory" in shown
    assert "the least device memory that a config needed is" in shown
    assert "these can: colorlight_i5_sdram, small; ecpix5_85f, base; " in shown


def test_a_file_in_place_of_the_folder_is_told_before_the_search(
        line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "found").write_text("")
    run(line, 1)
    assert capsys.readouterr().err == (
        f"kaniwa: {tmp_path / 'found'}: is no folder; give another one for -o\n")


def test_the_accuracy_of_a_model_is_that_of_every_config(
        models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = models / "inputs" / "kws01_1000.npz"
    line = ["explore", str(models / "mlperf_kws_dscnn.tflite"), "--board", "icebreaker", "-n", "1",
            "-o", str(tmp_path / "found"), "--accuracy", str(data), "--limit", "12"]
    run(line, 0)
    assert "mlperf_kws_dscnn.tflite: 11 of 12 right, accuracy 0.917" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "found" / "explore.json").read_text())["accuracy"]
    assert (row["inferences"], row["correct"], row["accuracy"]) == (12, 11, 11 / 12)


@pytest.mark.parametrize(("options", "said"), [
    (["--accuracy", "a.npz", "--accuracy", "b.npz"], "give one for each of the 1 models, not 2"),
    (["--limit", "3"], "--uint8 and --limit: only with --accuracy")])
def test_accuracy_is_of_each_model(line: list[str], options: list[str], said: str,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    run([*line, *options], 2)
    assert said in capsys.readouterr().err
