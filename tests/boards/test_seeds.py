"""Seeds on workers of a scheduler: the folders of one process, though a worker or the command ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders.parallel_items import ends

from kaniwa import cli
from kaniwa.boards.board import load_board
from kaniwa.boards.flow.build import _place_all
from kaniwa.boards.flow.place import REPORT, TOP, Design
from kaniwa.boards.flow.seeds import Placer
from kaniwa.errors import BuildError, DeviceError
from kaniwa.parallel import scheduler

TESTS = Path(__file__).resolve().parents[1]
# A stand-in that makes its result of seed and netlist, behind what a test has it do before.
ROUTER = """#!/bin/sh
until test "$1" = --seed; do shift; done
{before}
echo "Info: Routing"
echo "$2 $(cat top.json) $(cat top.pcf)" > top.asc
echo '{{"fmax": {{"c": {{"achieved": '$(( (7 * $2) % 5 ))', "constraint": 12}}}},
       "utilization": {{}}, "critical_paths": []}}' > report.json
"""
PACKER = """#!/bin/sh
cp top.asc top.bin
"""


def files(folder: Path) -> dict[str, bytes]:
    """What is in a folder, by name, without what tells of seconds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.suffix != ".log"}


@pytest.mark.slow
def test_workers_build_what_one_process_builds(
        blinky: None, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    values, kept = [], []
    for name, more in (("here", []), ("there", ["--scheduler", "2"])):
        monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / name))
        for synthesized in (tmp_path / "here").glob("*/synthesis-*"):
            shutil.copytree(synthesized, tmp_path / name / "bitstreams" / synthesized.name,
                            dirs_exist_ok=True)
        with pytest.raises(SystemExit) as stopped:
            cli.main(["bitstream", "--board", "icebreaker", "--seeds", "2", "-o", str(tmp_path),
                      "--json", *more])
        found = json.loads(capsys.readouterr().out)
        assert not stopped.value.code and len(found["clock_of_seed"]) == 2
        values.append({key: value for key, value in found.items() if key != "seconds"})
        kept.append(files(tmp_path / name) | {"": Path(found["bitstream"]).read_bytes()})
    assert values[0] == values[1]
    assert kept[0] == kept[1] and sum(name.endswith(REPORT) for name in kept[0]) == 2


Place = Callable[..., dict[int, Path]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Place a netlist for seeds of an iCEBreaker; ``before``: what its tool does first."""
    tools = tmp_path / "tools"
    tools.mkdir()
    planned = tmp_path / "planned"
    planned.mkdir()
    (planned / f"{TOP}.json").write_text("a netlist")
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    board = load_board("icebreaker")

    def run(cache: str, before: str, seeds: int, **more: Any) -> dict[int, Path]:
        monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / cache))
        for name, text in (("nextpnr-ice40", ROUTER.format(before=before)), ("icepack", PACKER)):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        design = Design(board.family, planned, "pins")
        if "workers" in more:
            return _place_all(board, design, 12, seeds, lambda text: None, **more)
        with scheduler("2") as workers:
            return _place_all(board, design, 12, seeds, lambda text: None, workers)

    return run


def test_a_worker_that_is_killed_loses_nothing_and_leaves_nothing(tmp_path: Path, place: Place
                                                                  ) -> None:
    """Seed 2 kills its worker, the first time, and would never end."""
    first = tmp_path / "first"
    there = place("there", f"if test $2 = 2 && ! test -e {first}; then echo $$ > {first}; "
                           "kill -9 $PPID; exec sleep 600; fi", 4)
    here = place("here", "", 4, workers=None)
    assert list(there) == list(here) == [1, 2, 3, 4]
    for seed, folder in there.items():
        assert files(folder) == files(here[seed])
    assert (there[2] / "top.bin").read_text() == "2 a netlist pins\n"
    assert {path.name for path in (tmp_path / "there" / "bitstreams").iterdir()} == {
        folder.name for folder in there.values()}
    assert first.exists() and ends(first)


def test_a_seed_that_fails_is_named_and_stops_the_others(tmp_path: Path, place: Place) -> None:
    other = tmp_path / "other"
    with pytest.raises(BuildError, match="^seed 1: nextpnr-ice40 failed: ERROR: no BELs left; for"):
        place("there", f"if test $2 = 1; then until test -s {other}; do :; done; "
                       "echo ERROR: no BELs left; exit 1; fi; "
                       f"if test $2 = 2; then echo $$ > {other}; exec sleep 600; fi", 2)
    assert ends(other)
    assert not list((tmp_path / "there").rglob("*"))


INTERRUPTED = """
import signal, sys
from pathlib import Path

from kaniwa.boards.board import load_board
from kaniwa.boards.flow.build import _place_all
from kaniwa.boards.flow.place import Design
from kaniwa.parallel import scheduler

if __name__ == "__main__":
    # Where the tests run in the background of a shell, Ctrl-C is ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    design = Design("ice40", Path(sys.argv[1]), "pins")
    try:
        with scheduler("2") as workers:
            _place_all(load_board("icebreaker"), design, 12, 2, lambda text: None, workers)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_an_interrupt_ends_the_tools_and_keeps_the_seeds_that_are_done(
        tmp_path: Path, place: Place) -> None:
    """Ctrl-C for the command alone: a terminal would give it to the tools as well."""
    second, script = tmp_path / "second", tmp_path / "script.py"
    kept_already = tmp_path / "there" / "bitstreams" / "placed-*" / "top.bin"
    before = (f"if test $2 = 2; then until ls {kept_already}; do :; done > /dev/null 2>&1; "
              f"echo $$ > {second}; exec sleep 600; fi")
    place("there", before, 0, workers=None)     # writes the tools, and runs none
    os.mkfifo(second)
    script.write_text(INTERRUPTED)
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "planned")],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tool = second.read_text()     # waits for it
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("interrupted\n", "")
    second.unlink()
    second.write_text(tool)
    assert ends(second)
    (kept,) = (tmp_path / "there" / "bitstreams").iterdir()
    assert (kept / "top.bin").read_text() == "1 a netlist pins\n"


def test_another_version_of_a_tool_is_refused(tmp_path: Path, place: Place) -> None:
    place("there", "", 1, workers=None)
    with pytest.raises(DeviceError, match=(
            "^icepack is .*/icepack [0-9 ]*, that of this command is icepack 1: install the same "
            "on both$")):
        Placer(Design("ice40", tmp_path, ""), b"", {"icepack": "icepack 1"})
