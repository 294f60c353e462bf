"""``kaniwa generate`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaniwa import cli
from kaniwa.generate import files as module


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["generate", *map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.mark.rtl
def test_command_writes_the_folder_and_tells_of_it(tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("amaranth")
    folder = tmp_path / "out"
    arguments = ("--target", "nano", "--bus", "wishbone", "--name", "soc_nn", "--clock-hz",
                 "48000000", "-o", folder)
    assert call(*arguments, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["target"], told["bus"]) == ("soc_nn", "nano", "wishbone")
    assert told["files"] == {path.relative_to(folder).as_posix(): path.stat().st_size
                             for path in folder.rglob("*") if path.is_file()}
    assert "module soc_nn (" in (folder / "soc_nn.v").read_text()
    assert "SOC_NN_CLOCK_HZ_VALUE 0x02DC6C00u" in (folder / "soc_nn.h").read_text()
    assert call(*arguments) == 1
    assert "is not empty" in capsys.readouterr().err
    assert call(*arguments, "--force") == 0
    assert f"make -C {folder}/tb" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_told_before_the_work(
        tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "generated_files", None)
    assert call("--bus", "axi4", "-o", tmp_path / "no" / "such") == 1
    assert capsys.readouterr().err.startswith(f"kaniwa: {tmp_path}/no/such: there is no folder")


@pytest.mark.parametrize(("arguments", "says"), [
    (("--bus", "pci"), "unknown bus 'pci'"),
    (("--bus", "axi4", "--target", "no_such"), "unknown target 'no_such'"),
    (("--bus", "axi4", "--name", "reg"), "name 'reg' is no module name"),
    (("--bus", "stream", "--outside"), "bus 'stream' has no port for outside memory"),
    (("--bus", "stream", "--sensor"), "bus 'stream' has no ports for sensors"),
    (("--bus", "axi4", "--sensor-buffer", "8"), "sensor_buffer is of the ports for sensors"),
])
def test_bad_options_are_a_line_and_leave_nothing(
        arguments: tuple[str, ...], says: str, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*arguments, "-o", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
