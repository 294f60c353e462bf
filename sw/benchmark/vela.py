"""Arm's Vela compiler, where it is installed: its estimates are made anew."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kaniwa.errors import DeviceError

__all__ = ["SETTINGS", "vela_cycles", "vela_summary", "vela_version"]

SETTINGS = ("--config", "Arm/vela.ini", "--system-config", "Ethos_U55_High_End_Embedded",
            "--memory-mode", "Sram_Only")
TIMEOUT = 300
ON_CPU = re.compile(r"CPU operators = (\d+)")


def vela_version() -> str | None:
    """The version of the installed Vela, None if there is none."""
    vela = _executable()
    if vela is None:
        return None
    done = subprocess.run([vela, "--version"], capture_output=True, text=True, timeout=TIMEOUT)
    words = done.stdout.split()
    return words[-1] if done.returncode == 0 and words else None


def vela_cycles(model: Path, multipliers: int) -> int:
    """Vela's estimate of one inference on an Ethos-U55 with everything in SRAM."""
    return int(vela_summary(model, multipliers)["cycles"])


def vela_summary(model: Path, multipliers: int) -> dict[str, Any]:
    """``cycles`` as vela_cycles gives them, and ``cpu_operators``, which are not in them."""
    vela = _executable()
    if vela is None:
        raise DeviceError("vela is not installed: pip install ethos-u-vela")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [vela, str(model.resolve()), "--accelerator-config", f"ethos-u55-{multipliers}",
             "--output-dir", folder, *SETTINGS],
            capture_output=True, text=True, timeout=TIMEOUT, cwd=folder)
        summaries = list(Path(folder).glob("*_summary_*.csv"))
        if done.returncode or len(summaries) != 1:
            raise DeviceError(f"vela failed on {model.name}: run `vela {model.name}` to see why")
        with summaries[0].open(newline="") as file:
            cycles = int(float(next(csv.DictReader(file))["cycles_total"]))
        left = ON_CPU.search(done.stdout)
        return {"cycles": cycles, "cpu_operators": int(left[1]) if left else 0}


def _executable() -> str | None:
    """Beside this interpreter, which need not be on the path, or on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which("vela", path=path)
