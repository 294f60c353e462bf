"""Projects of boards, as far as they can be read without the tools of vendors."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kaniwa.config import PRESETS
from kaniwa.generate.design import Design
from kaniwa.generate.projects import has_projects

pytestmark = pytest.mark.rtl
Files = Mapping[str, bytes]
BOARDS = ("arty_a7", "de10_nano")
# A primitive of the vendor, for lint alone
BUFG = "module BUFG (input wire I, output wire O); assign O = I; endmodule\n"


@pytest.fixture
def folder(generated: Callable[[str], Files], tmp_path: Path) -> Path:
    """The folder of target nano behind AXI, with the name `tiny`."""
    for name, data in generated("axi4").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_only_axi_without_a_master_port_has_projects(generated: Callable[[str], Files]) -> None:
    small = PRESETS["small"]
    assert has_projects(Design(small, "axi4"))
    assert not has_projects(Design(small, "axi4", outside=True))
    assert not has_projects(Design(small, "axi4", sensor=True))
    for bus in ("axi4", "wishbone", "stream"):
        assert any(name.startswith("projects/") for name in generated(bus)) == (bus == "axi4")


@pytest.mark.parametrize("board", BOARDS)
def test_top_of_a_board_has_no_warnings(board: str, folder: Path) -> None:
    from kaniwa.sim.device.toolchain import environment, verilator

    (folder / "BUFG.v").write_text(BUFG)
    done = subprocess.run(
        [verilator(), "--lint-only", "-Wall", "--top-module", board, "tiny.vlt", "tiny.v",
         "BUFG.v", "projects/tiny_selftest.v", f"projects/{board}/{board}.v"],
        cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "%Warning" not in done.stderr, done.stderr


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="no tclsh")
@pytest.mark.parametrize("script", [
    "arty_a7/build.tcl", "arty_a7/arty_a7.xdc", "de10_nano/tiny.qpf", "de10_nano/tiny.qsf",
    "de10_nano/tiny.sdc"])
def test_scripts_are_tcl(script: str, folder: Path) -> None:
    """The vendor's commands do nothing here; those that name files find them."""
    stubs = ('proc unknown args { return 0 }\nproc read_verilog files {\n'
             '  foreach file $files { if {![file exists $file]} { error "no file $file" } }\n}\n'
             'proc read_xdc file { if {![file exists $file]} { error "no file $file" } }\n')
    path = folder / "projects" / script
    done = subprocess.run(["tclsh"], input=f"{stubs}source {path}\n", cwd=path.parent, text=True,
                          capture_output=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_files_that_a_quartus_project_names_are_there(folder: Path) -> None:
    project = folder / "projects" / "de10_nano"
    named = re.findall(r"-name (?:VERILOG|SDC)_FILE (\S+)", (project / "tiny.qsf").read_text())
    assert len(named) == 4 and all((project / name).is_file() for name in named)


def test_pins_are_those_of_the_boards(folder: Path) -> None:
    """As amaranth-boards has them, which were tried on hardware."""
    arty = pytest.importorskip("amaranth_boards.arty_a7").ArtyA7_35Platform
    nano = pytest.importorskip("amaranth_boards.de10_nano").DE10NanoPlatform
    xdc = (folder / "projects/arty_a7/arty_a7.xdc").read_text()
    pins = dict(re.findall(r"PACKAGE_PIN (\w+) .*get_ports \{?(\w+(?:\[\d\])?)", xdc))
    assert pins == expected(arty, {"clk100": "clk100", "rst": "ck_rst"})
    qsf = (folder / "projects/de10_nano/tiny.qsf").read_text()
    pins = dict(re.findall(r"PIN_(\w+) -to (\S+)", qsf))
    assert pins == expected(nano, {"clk50": "clk50", "button": "key0"})
    assert f"{nano.device}{nano.package}{nano.speed}" in qsf
    part = f"{arty.device}{arty.package}-{arty.speed}"
    assert part.lower() in (folder / "projects/arty_a7/build.tcl").read_text().lower()


def expected(platform: type, names: Mapping[str, str]) -> dict[str, str]:
    """The port at each pin, for the resources ``names`` and the first four LEDs."""
    pins = {}
    for resource in platform.resources:
        number = resource.number
        (pin,) = resource.ios[0].names if hasattr(resource.ios[0], "names") and len(
            resource.ios[0].names) == 1 else ("",)
        if resource.name in names and number == 0:
            pins[pin] = names[resource.name]
        if resource.name == "led" and number < 4:
            pins[pin] = f"led[{number}]"
    return pins
