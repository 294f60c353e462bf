"""``kaniwa report`` on the command line: what it writes, and bad input in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kaniwa import cli
from kaniwa.compiler.pipeline import compile
from kaniwa.program.file import to_bytes

Kaniwa = Callable[..., tuple[int, str, str]]
MODEL = "mlperf_sww_1d.tflite"


@pytest.fixture
def kaniwa(capsys: pytest.CaptureFixture[str], tmp_path: Path,
           monkeypatch: pytest.MonkeyPatch) -> Kaniwa:
    """A function from arguments to exit status, output and messages, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["report", *map(str, arguments)])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_page_json_and_csv_are_written(kaniwa: Kaniwa, models: Path, tmp_path: Path) -> None:
    status, _, said = kaniwa(models / MODEL, "--json", "a.json", "--csv", "a.csv")
    assert status == 0
    page = (tmp_path / "mlperf_sww_1d.html").read_text()
    made = json.loads((tmp_path / "a.json").read_text())
    assert f"{made['runs'][0]['totals']['cycles']:,}" in page
    assert "<script src" not in page and "http://" not in page.replace(
        "http://www.w3.org/2000/svg", "")
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + len(made["runs"][0]["layers"])
    assert said.count("wrote") == 3 and "Fits base" in said


def test_json_goes_to_standard_output(kaniwa: Kaniwa, models: Path) -> None:
    status, shown, _ = kaniwa(models / MODEL, "--json", "-")
    assert status == 0 and json.loads(shown)["format"] == "kaniwa.report"


def test_two_targets_and_a_saved_report_are_compared(kaniwa: Kaniwa, models: Path,
                                                     tmp_path: Path) -> None:
    kaniwa(models / MODEL, "--json", "old.json")
    status, shown, _ = kaniwa(models / MODEL, "--target", "base", "--target", "large",
                              "--before", "old.json", "--json", "-", "-o", "new.html")
    labels = [run["label"] for run in json.loads(shown)["runs"]]
    assert status == 0 and len(labels) == 3 and labels[0].endswith("before")


def test_a_board_gives_clock_and_line(kaniwa: Kaniwa, models: Path) -> None:
    _, shown, _ = kaniwa(models / MODEL, "--board", "ulx3s_85f", "--json", "-")
    (run,) = json.loads(shown)["runs"]
    assert run["clock"]["mhz"] == 100.0 and run["link"]["milliseconds"] > 0
    _, shown, _ = kaniwa(models / MODEL, "--clock", "25", "--json", "-")
    (other,) = json.loads(shown)["runs"]
    assert other["totals"]["milliseconds"] == pytest.approx(4 * run["totals"]["milliseconds"])


def test_what_does_not_fit_the_board_has_a_page_and_status_1(kaniwa: Kaniwa, models: Path,
                                                             tmp_path: Path) -> None:
    status, _, said = kaniwa(models / "mlperf_ad_fc_ae.tflite", "--board", "ulx3s_25f",
                             "-o", "x.html")
    assert status == 1 and "Does not fit" in said
    assert "Does not fit" in (tmp_path / "x.html").read_text()


def test_a_damaged_program_is_one_line_and_leaves_nothing(kaniwa: Kaniwa, models: Path,
                                                          tmp_path: Path) -> None:
    data = bytearray(to_bytes(compile(models / MODEL)))
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.kaniwa").write_bytes(data)
    status, _, said = kaniwa("bad.kaniwa")
    assert status == 1 and "damaged" in said and said.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize(("arguments", "status", "says"), [
    (["none.tflite"], 1, "no such file"),
    (["{model}", "--target", "huge"], 1, "unknown target"),
    (["{model}", "--board", "huge"], 1, "unknown board"),
    (["{model}", "--before", "none.json"], 1, "cannot be read"),
    (["{model}", "--run", "none.json"], 1, "cannot be read"),
    (["{model}", "-o", "no/where.html"], 1, "cannot be written"),
    (["{model}", "--json", "-", "--csv", "-"], 2, "both"),
    (["{model}", "--clock", "0"], 2, "--clock"),
    ([], 2, "MODEL"),
])
def test_bad_input_is_one_line(arguments: list[str], status: int, says: str, kaniwa: Kaniwa,
                               models: Path, tmp_path: Path) -> None:
    found, _, said = kaniwa(*[item.format(model=models / MODEL) for item in arguments])
    assert found == status
    assert says in said.splitlines()[-1]
    assert not list(tmp_path.glob("*.html*")) or "--json" in arguments


def test_an_interrupt_leaves_nothing(kaniwa: Kaniwa, models: Path, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kaniwa.report.page.to_html", interrupted)
    status, _, said = kaniwa(models / MODEL)
    assert status == 130 and "nothing was left half-written" in said
    assert not list(tmp_path.iterdir())
