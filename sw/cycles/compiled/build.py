"""Compile the cycle model: ``python -m kaniwa.cycles.compiled.build``.

mypyc, which comes with mypy, makes C of the modules, and the C compiler machine code of that. What
was built stays in the cache until a source changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

import kaniwa
from kaniwa.cache_folder import kept_folder
from kaniwa.cycles.compiled.place import HERE, MODULES, expected_folder
from kaniwa.errors import Error, UnsupportedError
from kaniwa.extras import installed, missing

__all__ = ["build", "main"]

NEEDED = {"mypyc": "mypy", "setuptools": "setuptools"}
GROUP = "kaniwa.cycles.machine_code"     # of the module that has the code of all others
# What the child process runs, in a folder with the package below it.
SCRIPT = """
import sys
from mypyc.build import mypycify
from setuptools import setup
extensions = mypycify(
    ["--config-file=", *sys.argv[2:]], opt_level="2", debug_level="0", group_name="{group}")
setup(name="cycle_model", ext_modules=extensions, packages=[], script_args=[
    "-q", "build_ext", "--build-lib", sys.argv[1], "--build-temp", "objects"])
"""


def build() -> Path:
    """Compile the cycle model unless it is; returns the folder of its modules.

    Raises UnsupportedError without mypy, Error where the compiler fails, BuildError where the cache
    cannot be written.
    """
    return kept_folder(expected_folder(), _make)


def _make(folder: Path) -> None:
    for module, package in NEEDED.items():
        if not installed(module):
            raise UnsupportedError(missing("the compiled cycle model", package, "fast"))
    click.echo("compiling the cycle model (a minute, once for each state of its source) ...")
    with tempfile.TemporaryDirectory(prefix="kaniwa-cycle-model-") as made:
        place = Path(made)
        (place / "kaniwa").symlink_to(Path(kaniwa.__file__).parent)
        _compile(place)
        shutil.copytree(place / "out" / "kaniwa" / "cycles", folder, dirs_exist_ok=True)
    for package in {module.split(".")[0] for module in MODULES if "." in module}:
        shutil.copy(HERE / package / "__init__.py", folder / package)


def _compile(place: Path) -> None:
    sources = [f"kaniwa/cycles/{module.replace('.', '/')}.py" for module in MODULES]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(group=GROUP), "out", *sources], cwd=place,
        env=os.environ | {"PYTHONPATH": str(place)}, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise Error("the cycle model cannot be compiled, so it stays interpreted, which is as "
                    f"exact and slower: {lines[-1] if lines else 'no reason given'}; it takes a C "
                    "compiler and Python's headers")


def main() -> int:
    """Build, and say where; exit status 1 where that cannot be done."""
    try:
        click.echo(f"compiled cycle model: {build()}")
    except Error as error:
        click.echo(f"kaniwa: {error}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
