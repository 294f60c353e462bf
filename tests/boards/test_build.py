"""The build flow on a design of a few cells, and what it says when something is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaniwa import cli
from kaniwa.boards.board import BOARDS, load_board
from kaniwa.boards.families.family import Step, load_family
from kaniwa.boards.floor.placement import PLACEMENT
from kaniwa.boards.flow import build as build_module, place as place_module, program, tools
from kaniwa.boards.flow.build import TOP, build, design_files
from kaniwa.boards.flow.place import Design
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import BuildError, ConfigError, DeviceError
from kaniwa.sim.worlds.serial_config import TINY

PlaceAll = Callable[[str, int, Callable[[str], None]], dict[int, Path]]


# A board of each device. Those alike to another board, whose tools they share, are for `make long`.
DEVICES = sorted({load_board(name).device: name for name in reversed(BOARDS)}.values())
ALIKE = ("tang_nano_20k", "tang_nano_9k", "ecpix5_85f", "orangecrab_25f", "orangecrab_85f_ddr3")


@pytest.mark.slow
@pytest.mark.parametrize("board", [
    pytest.param(name, marks=[pytest.mark.long] if name in ALIKE else []) for name in DEVICES])
def test_a_small_design_becomes_a_bitstream(board: str, blinky: None, tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    seeds = 2 if board == "icebreaker" else 1   # the larger devices take their time
    arguments = ["bitstream", "--board", board, "--seeds", str(seeds), "-o", str(tmp_path),
                 "--json"]
    values = _json(capsys, arguments)
    assert values["board"] == board and values["target"] == load_board(board).default_target
    clock = values["clock_mhz"]
    assert values["target_mhz"] <= clock["worst"] <= clock["median"] <= clock["best"]
    assert 16 <= values["ff"] <= 30 and 16 <= values["lut"] <= 60
    assert values["bram"] == values["dsp"] == 0
    assert values["blocks"]["control"]["ff"] == 4
    bitstream = Path(values["bitstream"]).read_bytes()
    # That of GateMate has what is used alone.
    assert len(bitstream) > (1_500 if board == "gatemate_a1_evb" else 20_000)
    report = Path(values["report"]).read_text()
    assert json.loads(Path(values["report"]).with_suffix(".json").read_text()) == values
    assert "control" in report and f"{values['target_mhz']:g} MHz met\n" in report

    shown = Path(values["page"]).read_text()
    assert shown.count('<g class="block') >= 2 and "control" in shown

    again = _json(capsys, arguments)
    assert Path(again["bitstream"]).read_bytes() == bitstream
    assert again["clock_of_seed"] == values["clock_of_seed"]


@pytest.mark.slow
def test_a_clock_that_is_not_met_is_exit_status_1(blinky: None, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bitstream", "--board", "icebreaker", "--clock-mhz", "222", "-o", str(tmp_path),
                  "--json"])
    assert stopped.value.code == 1
    values = json.loads(capsys.readouterr().out)
    assert not values["meets_timing"] and 0 < values["clock_mhz"]["worst"] < 222
    assert "NOT met" in Path(values["report"]).read_text()
    assert "->" in values["critical_path"] or values["critical_path"].startswith(("top", "control"))


@pytest.mark.slow
def test_a_cached_build_runs_no_tool(blinky: None, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board("icebreaker")
    first = build(board, None, 1, tmp_path, lambda text: None)
    monkeypatch.setattr(tools, "run", lambda *arguments: pytest.fail("a tool was run"))
    second = build(board, None, 1, tmp_path, lambda text: None)
    assert dataclasses.replace(second, seconds=first.seconds) == first


@pytest.mark.slow
def test_a_result_kept_without_places_of_cells_is_routed_again_only_for_a_page(
        blinky: None, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["bitstream", "--board", "icebreaker", "-o", str(tmp_path), "--json"]
    first = _json(capsys, arguments)
    placement = next((tmp_path / "cache" / "bitstreams").glob("placed-*/placement.json"))
    text, kept = placement.read_text(), sorted(placement.parent.iterdir())
    placement.unlink()
    with monkeypatch.context() as no_tools:
        no_tools.setattr(tools, "run", lambda *arguments: pytest.fail("a tool was run"))
        again = _json(capsys, arguments)
    assert again["clock_of_seed"] == first["clock_of_seed"]
    assert "The blocks are not drawn" in Path(again["page"]).read_text()

    page = tmp_path / "floor.html"
    assert _json(capsys, [*arguments, "--page", str(page)])["page"] == str(page)
    assert '<g class="block' in page.read_text()
    assert placement.read_text() == text and sorted(placement.parent.iterdir()) == kept


@pytest.mark.slow
def test_asking_for_the_places_of_cells_changes_no_placement(blinky: None, tmp_path: Path) -> None:
    board = load_board("icebreaker")
    folder = build(board, None, 1, tmp_path, lambda text: None).folder
    plain = tmp_path / "plain"
    shutil.copytree(next(folder.parent.glob("synthesis-*")), plain)
    shutil.copy(folder / f"{TOP}.pcf", plain)
    step = load_family("ice40").place(board.device, board.clock_mhz(board.default_target), 1)
    assert "--write" not in step.arguments
    tools.run([*tools.command(step.tool), *step.arguments], plain, plain / "log")
    for name in ("report.json", step.output):
        assert (plain / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.slow
def test_a_result_that_cannot_be_made_again_gets_no_places(blinky: None, tmp_path: Path) -> None:
    board = load_board("icebreaker")
    folder = build(board, None, 1, tmp_path, lambda text: None).folder
    (folder / "placement.json").unlink()
    (folder / "top.asc").write_text("of another version")
    with pytest.raises(BuildError, match="came to another result than the kept one; remove the "):
        build(board, None, 1, tmp_path, lambda text: None, wanted=[PLACEMENT])
    assert not (folder / "placement.json").exists()


def test_a_page_in_no_folder_is_told_before_the_build(tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bitstream", "--board", "icebreaker", "--page", str(tmp_path / "no" / "x.html")])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        f"kaniwa: {tmp_path}/no/x.html: no such folder to write the page to\n")


@pytest.mark.slow
def test_a_design_that_does_not_fit_says_what_to_reduce(blinky: None, tmp_path: Path) -> None:
    board = dataclasses.replace(load_board("icebreaker"), capacity={"lut": 10, "ff": 5280})
    with pytest.raises(BuildError, match=r"^nano does not fit icebreaker: it needs \d+ of 10 lut; "
                                         "for lut reduce out_lanes, dot_width"):
        build(board, None, 1, tmp_path, lambda text: None)


@pytest.mark.parametrize("board", BOARDS)
def test_rtlil_is_the_same_twice(board: str) -> None:
    chosen = load_board(board)
    config = dataclasses.replace(TINY, read_bytes=16) if chosen.ddr3 else TINY
    once, again = (design_files(chosen, config, chosen.clock_mhz("")) for _ in range(2))
    assert once == again
    assert "/" not in "".join(line for line in once[f"{TOP}.il"].splitlines() if "src" in line)


def test_what_names_a_cached_step_is_the_same_in_each_process() -> None:
    code = """if True:
        from kaniwa.boards.flow import build
        from kaniwa.boards.board import load_board
        from kaniwa.boards.families.family import load_family
        board = load_board("ulx3s_85f")
        family, config = load_family(board.family), board.config("base")
        script = str([family.synthesis("top", config, board.device),
                      family.place(board.device, 100, 1)])
        print(build._synthesis_key(board, family, ["", script]))"""
    seen = {subprocess.run([sys.executable, "-c", code], check=True, capture_output=True,
                           env=os.environ | {"PYTHONHASHSEED": seed}).stdout
            for seed in ("1", "2", "3")}
    assert len(seen) == 1 and len(seen.pop()) == 33


@pytest.mark.parametrize("board", BOARDS)
def test_targets_of_a_board_are_legal_and_its_clock_can_be_made(board: str) -> None:
    chosen = load_board(board)
    hz = chosen.make_platform().default_clk_frequency
    for target in chosen.targets:
        assert isinstance(chosen.config(target), AcceleratorConfig)
        pll = load_family(chosen.family).pll(hz, chosen.clock_mhz(target), chosen.device)
        assert pll.hz == round(chosen.clock_mhz(target) * 1e6)


def test_a_clock_that_the_pll_cannot_make_is_named() -> None:
    for board in map(load_board, BOARDS):
        hz = board.make_platform().default_clk_frequency
        with pytest.raises(ConfigError, match="PLL cannot make 31.4159 MHz"):
            load_family(board.family).pll(hz, 31.4159, board.device)


def test_an_unknown_board_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bitstream", "--board", "no_such"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        f"kaniwa: unknown board 'no_such': give one of {', '.join(BOARDS)}\n")


def test_a_tool_that_fails_is_quoted(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo Info: Placing; echo ERROR: no BELs remaining; exit 3"]
    seen: list[str] = []
    with pytest.raises(BuildError, match="^nextpnr failed: ERROR: no BELs remaining; reduce it$"):
        place_module.run_tool("nextpnr", command, tmp_path, "out", seen.append, hint="; reduce it")
    assert seen == ["Info: Placing\n", "ERROR: no BELs remaining\n"]
    with pytest.raises(BuildError, match="^yosys failed: exit status 0$"):
        place_module.run_tool("yosys", ["true"], tmp_path, "out", seen.append)


@pytest.fixture
def synthesized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a netlist, beside a cache of its own."""
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tools, "version", lambda tool: "1")
    folder = tmp_path / "synthesis"
    folder.mkdir()
    return folder


@pytest.fixture
def place_all(synthesized: Path) -> PlaceAll:
    """Place a netlist's text for seeds of an iCEBreaker."""
    board = load_board("icebreaker")

    def place(netlist: str, seeds: int, progress: Callable[[str], None]) -> dict[int, Path]:
        (synthesized / f"{TOP}.json").write_text(netlist)
        return build_module._place_all(board, Design(board.family, synthesized, ""), 12, seeds,
                                       progress)

    return place


def test_a_seed_that_fails_stops_the_others(tmp_path: Path, place_all: PlaceAll,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})   # all at a time
    family = load_family("ice40")
    ready = tmp_path / "ready"
    shell = (f"if [ $0 = 2 ]; then until test -e {ready}; do echo wait; done; exit 3; fi; "
             f"touch {ready}; while true; do echo Info: Routing; done")
    monkeypatch.setattr(tools, "command", lambda tool: ["sh", "-c", shell])
    monkeypatch.setattr(family, "place",
                        lambda device, mhz, seed: Step("tool", (str(seed),), "out"))
    with pytest.raises(BuildError, match="^tool failed: exit status 3$"):
        place_all("", 3, lambda text: None)
    assert list((tmp_path / "cache" / "bitstreams").iterdir()) == []


def _netlist(**sites: str) -> dict[str, Any]:
    """Two block RAMs, each wired to a gate beside the other; placed where there are ``sites``."""
    cells = {"left": ("RAM", 1), "right": ("RAM", 2), "lut1": ("LUT", 1), "lut2": ("LUT", 2)}
    return {"modules": {TOP: {"cells": {
        name: {"type": kind, "connections": {"A": [net]},
               "attributes": {"NEXTPNR_BEL": sites[name]} if sites else {}}
        for name, (kind, net) in cells.items()}}}}


def test_blocks_have_the_sites_of_a_floorplan_in_which_they_changed_places(
        tmp_path: Path, synthesized: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (synthesized / f"{TOP}.json").write_text(json.dumps(_netlist()))
    (tmp_path / "placed").write_text(json.dumps(_netlist(
        left="X1/Y1/RAM", right="X9/Y1/RAM", lut1="X9/Y2/A", lut2="X1/Y2/A")))
    monkeypatch.setattr(tools, "command", lambda tool: [
        "sh", "-c", f"echo Info: iteration 1, wirelen = 1700; cp {tmp_path}/placed placed.json"])
    family = load_family("ice40")
    monkeypatch.setattr(family, "sites", {"RAM": ["X1/Y1/RAM", "X9/Y1/RAM"]}, raising=False)
    step, seen = Step("tool", (), "placed.json"), list[str]()
    folder = build_module._plan(family, step, synthesized, "", seen.append)
    given = json.loads((folder / f"{TOP}.json").read_text())["modules"][TOP]["cells"]
    assert {name: cell["attributes"] for name, cell in given.items()} == {
        "left": {"BEL": "X9/Y1/RAM"}, "right": {"BEL": "X1/Y1/RAM"}, "lut1": {}, "lut2": {}}
    assert seen[-1] == ("block RAMs and multipliers changed places: wires of 1,700 units are "
                        "shorter by 16")
    assert json.loads((synthesized / f"{TOP}.json").read_text()) == _netlist()
    assert {path.name for path in folder.iterdir()} == {f"{TOP}.json", f"{TOP}.pcf", "tool.log"}
    assert build_module._plan(family, step, synthesized, "", pytest.fail) == folder   # is kept


@pytest.mark.parametrize("attempts, fails", [(500, False), (501, True)])
def test_routing_that_does_not_end_is_given_up(attempts: int, fails: bool, place_all: PlaceAll,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["Routing 100 arcs.", f"   {attempts} |  12  34 |  4  5 |   17|  7.1  8.2|"]
    shell = "; ".join(f"echo 'Info: {line}'" for line in lines)
    monkeypatch.setattr(tools, "command", lambda tool: ["sh", "-c", f"{shell}; touch out bit"])
    family = load_family("ice40")
    monkeypatch.setattr(family, "place", lambda device, mhz, seed: Step("tool", (), "out"))
    monkeypatch.setattr(family, "pack", lambda device: Step("packer", (), "bit"))
    if not fails:
        assert (place_all("", 1, lambda text: None)[1] / "bit").exists()
        return
    with pytest.raises(BuildError, match="^seed 1 cannot be routed: after 501 attempts 17 of 100 "
                                         "connections are open; for lut reduce "):
        place_all("", 1, lambda text: None)


def test_a_failed_step_leaves_nothing_in_the_cache(tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise BuildError("no")

    with pytest.raises(BuildError):
        place_module.kept("step", fail)
    assert list((tmp_path / "bitstreams").iterdir()) == []


def test_the_log_of_a_tool_can_be_read_while_it_runs(tmp_path: Path) -> None:
    log, seen = tmp_path / "tool.log", []
    status = tools.run([sys.executable, "-c", "print('one'); print('two')"], tmp_path, log,
                       lambda line: seen.append(log.read_text()))
    assert (status, seen) == (0, ["one\n", "one\ntwo\n"])


def test_a_tool_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.shutil, "which", lambda name, path: None)
    with pytest.raises(DeviceError, match=r"^a bitstream needs nextpnr-ecp5: pip install "):
        tools.command("nextpnr-ecp5")


def test_a_native_tool_comes_before_the_wheels(monkeypatch: pytest.MonkeyPatch,
                                               tmp_path: Path) -> None:
    native = tmp_path / "icepack"
    native.write_text("#!/bin/sh\n")
    native.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.command("icepack") == [str(native)]
    assert tools.version("icepack").startswith(str(native))


def test_programming_uses_the_tool_that_is_installed(monkeypatch: pytest.MonkeyPatch,
                                                     tmp_path: Path) -> None:
    board = load_board("ulx3s_85f")
    bitstream = tmp_path / "ulx3s_85f-base.bit"
    with pytest.raises(DeviceError, match="no such bitstream; kaniwa bitstream --board ulx3s_85f"):
        program.find_bitstream(board, None, tmp_path)
    bitstream.write_bytes(b"bits")
    assert program.find_bitstream(board, None, tmp_path) == bitstream
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(DeviceError, match="^no tool to program ulx3s_85f: install openFPGALoader "
                                          "or fujprog$"):
        program.load_bitstream(board, bitstream)

    tool = tmp_path / "fujprog"
    tool.write_text("#!/bin/sh\necho no device found\ntest -s \"$1\" && exit $CODE\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CODE", "0")
    assert program.load_bitstream(board, bitstream) == "fujprog"
    monkeypatch.setenv("CODE", "7")
    with pytest.raises(DeviceError, match="^fujprog failed: no device found; is the board"):
        program.load_bitstream(board, bitstream)


def _json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    captured = capsys.readouterr()
    assert not stopped.value.code, captured.err
    values: dict[str, Any] = json.loads(captured.out)
    return values
