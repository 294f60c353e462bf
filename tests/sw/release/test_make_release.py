"""`make release`: what its three files hold, with builders that take no time."""

import hashlib
import importlib.util
import sys
from types import SimpleNamespace

import pytest

from kaniwa.boards.board import load_board
from kaniwa.config import PRESETS
from kaniwa.errors import BuildError
from kaniwa.release.archive import read_manifest


@pytest.fixture
def made(monkeypatch, root):
    """The tool, whose builders write a few bytes and whose boards meet what ``met`` says."""
    spec = importlib.util.spec_from_file_location("make_release", root / "tools/make_release.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    state = SimpleNamespace(tool=tool, met=True)

    def library(verilog, config):
        path = state.folder / f"{config.name}.so"
        path.write_bytes(f"core {config.name}".encode())
        return path

    def built(board, target, seeds, folder, progress):
        progress("placing")
        path = folder / f"{board.name}-{board.default_target}.bin"
        path.write_bytes(b"bits")
        return SimpleNamespace(board=board, target=board.default_target, path=path, target_mhz=20,
                               config=board.config(board.default_target), meets_timing=state.met,
                               clock_mhz={"worst": 19.5, "best": 22.0})

    def wheel(folder):
        (folder / "kaniwa-0.whl").write_bytes(b"wheel")
        return folder / "kaniwa-0.whl"

    monkeypatch.setattr(tool, "core_verilog", lambda config: "")
    monkeypatch.setattr(tool, "build_library", library)
    monkeypatch.setattr(tool, "build", built)
    monkeypatch.setattr(tool, "wheel", wheel)
    monkeypatch.setattr(tool, "page", lambda one: f"report of {one.board.name}")
    monkeypatch.setattr(tool, "summary", lambda one: dict.fromkeys(tool.FACTS, 1) | {
        "clock_mhz": one.clock_mhz})
    return state


def run(made, monkeypatch, tmp_path, *arguments):
    made.folder = tmp_path
    monkeypatch.setattr(sys, "argv", ["make_release", "-o", str(tmp_path / "release"),
                                      "--targets", "nano", "small", "--boards", "icebreaker",
                                      *arguments])
    made.tool.main()


def test_a_release_has_wheel_archive_and_sums(made, monkeypatch, tmp_path, capsys):
    run(made, monkeypatch, tmp_path)
    files = {path.name: path.read_bytes() for path in (tmp_path / "release").iterdir()}
    sums = files.pop("SHA256SUMS").decode().splitlines()
    assert sorted(sums) == sorted(f"{hashlib.sha256(data).hexdigest()}  {name}"
                                  for name, data in files.items())
    (archive,) = (tmp_path / "release").glob("kaniwa-*-built.zip")
    release = read_manifest(archive)
    assert [(one.file, one.board, one.config) for one in release.artifacts] == [
        ("simulators/nano.so", None, PRESETS["nano"].hash),
        ("simulators/small.so", None, PRESETS["small"].hash),
        ("bitstreams/icebreaker-nano.bin", "icebreaker", load_board("icebreaker").config(
            "nano").hash),
        ("reports/icebreaker-nano.txt", "icebreaker", PRESETS["nano"].hash)]
    assert release.artifacts[2].facts["mhz"] == 19.5
    assert "amaranth" in release.tools
    assert "bitstreams/icebreaker-nano.bin" in capsys.readouterr().out


def test_a_board_that_misses_its_clock_ends_it_and_nothing_is_written(made, monkeypatch, tmp_path):
    made.met = False
    with pytest.raises(BuildError, match="^icebreaker: 19.5 MHz with the worst of 2 seeds, 20 "):
        run(made, monkeypatch, tmp_path)
    assert not (tmp_path / "release").exists()
