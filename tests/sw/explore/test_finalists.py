"""``kaniwa explore --build``: finalists are built, and their clocks shown beside the models'."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kaniwa import cli
from kaniwa.boards.floor import page as floor_page_module
from kaniwa.boards.flow import build as build_module, report as report_module, tools
from kaniwa.config import load_target
from kaniwa.errors import BuildError
from kaniwa.explore import search as search_module

MHZ = 20.0


@pytest.fixture
def line(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A search whose configs go through ``builder``, in place of synthesis and routing."""
    monkeypatch.setattr(tools, "require", lambda *_: None)
    monkeypatch.setattr(floor_page_module, "floor_page", lambda built: "a page")
    monkeypatch.setattr(report_module, "write_reports", lambda built, floor: built.values)
    return ["explore", str(models / "tflm_micro_speech.tflite"), "--board", "icebreaker",
            "--objective", "area", "-n", "12", "-o", str(tmp_path / "found"), "--build", "2"]


def builder(asked: list[Any], fails: str = "") -> Any:
    """Notes what is asked of it; a build of the file ``fails`` ends as one that does not fit."""
    def build(board: Any, target: str, seeds: int, output: Path, progress: Any, mhz: float,
              *, workers: Any) -> Any:
        asked.append((target, seeds, output, mhz, workers))
        if Path(target).name == fails:
            raise BuildError("explored does not fit: it needs 6,000 of 5,280 lut")
        return SimpleNamespace(target_mhz=mhz, seconds=90.0, values={
            "clock_mhz": {"worst": MHZ}, "clock_of_seed": {"1": MHZ, "2": 21.0},
            "totals": {"lut": 5_000, "ff": 2_000, "bram": 30, "dsp": 8, "spram": 4},
            "bitstream": f"{target}.bin"})

    return build


def run(arguments: list[str], status: int) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == status


def test_the_first_configs_of_the_front_are_built(
        line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(build_module, "build", builder(asked))
    run([*line, "--build-seeds", "2", "--device", "emulator", "--json"], 0)
    shown = json.loads(capsys.readouterr().out)
    folder = tmp_path / "found"
    files = [row["file"] for row in shown["front"] if row["file"]][:2]
    assert [(Path(target).name, seeds, output, workers)
            for target, seeds, output, _, workers in asked] == [
                (name, 2, folder, None) for name in files]
    assert shown == json.loads((folder / "explore.json").read_text()) | {"elsewhere": []}
    # The best config is one of them, so it is run once.
    assert [row["config"] for row in shown["confirmed"]] == files
    for built, (target, _, _, mhz, _) in zip(shown["built"], asked, strict=True):
        assert load_target(target).hash in {row["hash"] for row in shown["front"]}
        figures, modelled = built["figures"], built["modelled"]
        assert 0 <= modelled["clock_mhz"] - mhz < 1 and built["asked_mhz"] == mhz
        assert figures["cycles"] == modelled["cycles"] and figures["clock_mhz"] == MHZ
        assert figures["latency"] == pytest.approx(sum(figures["cycles"]) / MHZ / 1e3, abs=1e-6)
        assert figures["used"]["lut"] == 5_000
        assert built["clock_of_seed"] == {"1": MHZ, "2": 21.0} and not built["why"]


def test_one_that_does_not_fit_leaves_the_others(
        line: list[str], monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(build_module, "build", builder([], fails="explored-1.toml"))
    run(line, 0)
    shown = capsys.readouterr().out
    assert "explored-1.toml was not built: explored does not fit" in shown
    assert "explored-2.toml is built: area " in shown
    assert all(len(text) <= 80 for text in shown.splitlines()
               if not text.startswith(("wrote", "target", "explored-1.toml was")))


def test_builds_that_all_fail_are_a_failure(line: list[str], monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(build_module, "build", builder([], fails="explored-1.toml"))
    run([*line[:-1], "1"], 1)
    assert "no finalist could be built" in capsys.readouterr().out


def interrupted(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def test_an_interrupted_build_leaves_the_search(
        line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    """In its files and on the terminal."""
    monkeypatch.setattr(build_module, "build", interrupted)
    run(line, cli.INTERRUPTED_STATUS)
    assert "configs measured" in capsys.readouterr().out
    kept = json.loads((tmp_path / "found" / "explore.json").read_text())
    assert kept["front"] and kept["built"] == []


def test_an_interrupted_search_builds_nothing(line: list[str], monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(build_module, "build", builder(asked))
    monkeypatch.setattr(search_module, "run_trials", interrupted)
    run(line, cli.INTERRUPTED_STATUS)
    assert not asked and "build" not in capsys.readouterr().out


def test_where_only_targets_are_found_nothing_is_built(
        line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
        ) -> None:
    monkeypatch.setattr(search_module, "_search", lambda *_: None)
    run(line, 0)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "nothing to build: no config was found beside the board's targets")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--build", "1"], "--build: give -o, the folder for the bitstreams"),
    (["--build-seeds", "2"], "--build-seeds: only with --build"),
])
def test_what_a_build_lacks_is_told_before_the_search(
        models: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
        ) -> None:
    run(["explore", str(models / "tflm_micro_speech.tflite"), "--board", "icebreaker",
         *arguments], 2)
    assert message in capsys.readouterr().err
