"""Cycle model: its modules compiled to machine code, which are kept in the cache.

The interpreted modules and the compiled ones are the same source, and give the same cycles. The
compiled ones take a quarter of the time. ``python -m kaniwa.cycles.compiled.build`` makes them.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

from kaniwa.cache_folder import cache_folder

__all__ = ["MODULES", "SWITCH", "compiled_folder", "expected_folder"]

SWITCH = "KANIWA_CYCLE_MODEL"      # "interpreted" leaves the compiled modules out
HERE = Path(__file__).parents[1]     # kaniwa.cycles
# Modules of kaniwa.cycles that are compiled: those in which a run's cycles are counted.
MODULES = (
    "array", "compact.layers", "compact.memory", "compact.post", "compact.reads", "compact.steady",
    "compact.units", "events", "gather", "litedram", "litedram_port", "log", "look", "memory",
    "model", "pipeline", "results", "sdram", "steady", "store", "readers.commands", "readers.load",
    "readers.operand", "readers.streams", "readers.weights")
# Sources whose constants become part of the machine code.
CONSTANTS = ("../timing.py", "../isa/table.py")


def source_of(module: str) -> Path:
    """The file of one of the ``MODULES``."""
    return HERE / (module.replace(".", "/") + ".py")


def expected_folder() -> Path:
    """Where the compiled modules of this source are, or would be, for this Python."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {platform.machine()}".encode())
    for source in (*map(source_of, MODULES), *(HERE / name for name in CONSTANTS)):
        digest.update(source.read_bytes())
    return cache_folder() / f"cycle-model-{digest.hexdigest()[:32]}"


def compiled_folder() -> Path | None:
    """The folder of the compiled modules, None where there is none or it is not wanted."""
    if os.environ.get(SWITCH) == "interpreted":
        return None
    try:
        folder = expected_folder()
    except OSError:       # a package without sources
        return None
    return folder if folder.is_dir() else None
