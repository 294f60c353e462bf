"""The folder in which simulators and bitstreams are built and kept."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """Folder where builds are kept: $KANIWA_CACHE, else the user's cache folder."""
    if "KANIWA_CACHE" in os.environ:
        return Path(os.environ["KANIWA_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "kaniwa"
