"""Versions of what results depend on: those of a worker must be those of the command."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["difference", "versions"]

# Folders of modules may lie apart from each other, or hw in that of kaniwa.
PACKAGES = ("kaniwa", "kaniwa.hw", "kaniwa.sim", "kaniwa.boards")
NO_MODULES = ("kaniwa.examples", "kaniwa.models")


@cache
def versions() -> dict[str, str]:
    """The versions here, by name. That of kaniwa has a digest of its sources, too."""
    import numpy

    from kaniwa._version import __version__

    return {"kaniwa": f"{__version__} (sources {_sources()})",
            "Python": platform.python_version(), "NumPy": numpy.__version__}


def difference(wanted: Mapping[str, str], found: Mapping[str, str], whose: str) -> str | None:
    """The first of the ``wanted`` versions that is another one in ``found``; None: all agree."""
    for name, version in wanted.items():
        if found.get(name) != version:
            return (f"{whose} has {name} {found.get(name, 'not at all')}, this command has "
                    f"{version}: install the same on both")
    return None


def _sources() -> str:
    """A digest of all modules of kaniwa, by name and content."""
    files: dict[str, Path] = {}
    for package in PACKAGES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for path in Path(folder).rglob("*.py"):
                name = ".".join([package, *path.relative_to(folder).with_suffix("").parts])
                if not name.startswith(NO_MODULES):
                    files[name] = path
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:8]
