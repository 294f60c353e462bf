"""The whole SoC in Verilator: its Verilog, built with a terminal at the UART."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soc import CYCLES_OF_A_BIT, AcceleratorSoC

from kaniwa.errors import BuildError
from kaniwa.sim.device.toolchain import environment, require_compiler, verilator

# Rules of Verilator that lines of LiteX and of VexRiscv break; the accelerator has waivers of its
# own. LiteX writes combinational blocks with <=, and leaves widths to the language.
FOREIGN = ("COMBDLY", "WIDTHEXPAND", "WIDTHTRUNC", "CASEINCOMPLETE")


@dataclass(frozen=True)
class Run:
    """What came out of the UART, and the cycles until its last character."""

    text: str
    cycles: int


def write_verilog(soc: AcceleratorSoC, folder: Path) -> list[str]:
    """Write the SoC's Verilog and memories into ``folder``; the arguments that name its files."""
    here = os.getcwd()
    made = soc.platform.get_verilog(soc, name="soc")
    try:
        os.chdir(folder)     # LiteX writes the contents of memories beside
        made.write("soc.v")
    finally:
        os.chdir(here)
    sources = [str(path) for path, language, _ in soc.platform.sources if language == "verilog"]
    return [str(soc.kaniwa.sources.waivers), "soc.v", *sources]


def build(files: list[str], folder: Path, foreign: Sequence[str] = FOREIGN) -> Path:
    """The program that simulates the SoC. A warning of Verilator's is an error, but ``foreign``."""
    require_compiler()
    done = subprocess.run(
        [verilator(), "--cc", "--exe", "--build", "-O3", "-j", "2", "--x-assign", "0",
         "--x-initial", "0", "--output-split", "8000", "--top-module", "soc", "--prefix", "Vsoc",
         "-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1",
         *(f"-Wno-{rule}" for rule in foreign), *files,
         str(Path(__file__).with_name("bench.cpp")), "-o", "soc"],
        cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise BuildError("the SoC could not be built: "
                         + next((line for line in done.stderr.splitlines() if "rror" in line),
                                "no output"))
    return folder / "obj_dir" / "soc"


def run(program: Path, folder: Path, limit: int) -> Run:
    """Run for at most ``limit`` cycles. Raises BuildError where the firmware does not end."""
    done = subprocess.run([str(program), str(limit), str(CYCLES_OF_A_BIT)], cwd=folder,
                          capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"the simulation stopped: {done.stderr.strip()}; it wrote {done.stdout!r}")
    return Run(done.stdout, int(done.stderr))
