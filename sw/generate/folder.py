"""A folder of files that is written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from kaniwa.errors import InputError
from kaniwa.files import write_atomic

__all__ = ["check_folder", "write_folder"]


def check_folder(folder: Path, own: Iterable[str], built: Iterable[str], force: bool) -> None:
    """Raise InputError unless ``folder`` may be written: it is not there, or empty.

    It is never the folder of this process, or around it.

    With ``force`` it may hold the files ``own``, which are replaced, and the folders ``built``,
    which are removed. No other file is ever lost.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder}: is no folder; name another one")
    if Path.cwd().is_relative_to(folder.resolve()):     # which would be moved away under a shell
        raise InputError(f"{folder}: is the folder you are in, or around it; name one inside it")
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise InputError(f"{folder}: there is no folder {parent} to make it in")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: cannot be written ({parent} is not writable)")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not force:
        raise InputError(f"{folder}: is not empty; name another folder, or give --force to replace "
                         "what was generated there")
    known = set(own)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        of_build = any(name == part or name.startswith(f"{part}/") for part in built)
        if name not in known and not of_build and (path.is_symlink() or not path.is_dir()):
            raise InputError(f"{folder}: holds {name}, which this design does not have: move it "
                             "away, or name another folder")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files``, by path, in place of all that ``folder`` holds; see ``check_folder``.

    They are written beside it, so a failure leaves it as it was. Raises Error naming the path.
    """
    folder = folder.absolute()
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        new, old = beside / "new", beside / "old"
        for name, data in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(new / name, data)
        if folder.exists():
            os.rename(folder, old)
        try:
            os.rename(new, folder)
        except OSError:
            if old.exists():
                os.rename(old, folder)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
