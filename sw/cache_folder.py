"""The folder in which simulators, bitstreams and the cycle model are built and kept."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from kaniwa.errors import BuildError

__all__ = ["building", "cache_folder", "kept_folder"]

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Folder where builds are kept: $KANIWA_CACHE, else the user's cache folder."""
    if "KANIWA_CACHE" in os.environ:
        return Path(os.environ["KANIWA_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "kaniwa"


def kept_folder(folder: Path, make: Callable[[Path], None]) -> Path:
    """``folder``, which ``make`` fills if there is none yet: it appears whole or not at all.

    Raises BuildError where it cannot be written.
    """
    if folder.exists():
        logger.info("%s is in the cache: %s", folder.name.rpartition("-")[0], folder)
    else:
        with building(folder) as temporary:
            make(temporary)
            with contextlib.suppress(OSError):   # another process made the same
                os.replace(temporary, folder)
        if not folder.exists():
            raise BuildError(f"{folder}: cannot be written; nothing was left half-written")
    return folder


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder``, to build in."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
