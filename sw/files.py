"""Writing files so that a failure leaves nothing half-written."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kaniwa.errors import Error, InputError

__all__ = ["check_readable", "check_writable", "write_all", "write_atomic", "write_npz"]

OPEN_FILES = ("/dev/std", "/dev/fd/", "/proc/")


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all. Raises Error naming the path.

    A file that a link names is written, not the link, and keeps its permissions. Devices and pipes
    take the data as they are.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        if _is_stream(path):
            path.write_bytes(data)
            return
        file = Path(os.path.realpath(path))
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, file)
    except OSError as error:
        raise _unwritable(path, error.strerror) from None
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def check_readable(path: Path) -> None:
    """Raise InputError for a path that is no file."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: is no regular file")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise the Error of ``write_atomic`` for a path that cannot be a file, before it is made."""
    path = Path(path)
    if _is_stream(path):
        return
    folder = Path(os.path.realpath(path)).parent
    if path.is_dir():
        raise _unwritable(path, os.strerror(errno.EISDIR))
    if not folder.is_dir():
        raise _unwritable(path, os.strerror(errno.ENOTDIR if folder.exists() else errno.ENOENT))
    if not os.access(folder, os.W_OK):
        raise _unwritable(path, os.strerror(errno.EACCES))


def _is_stream(path: Path) -> bool:
    """What takes data and is no file: a device, a pipe, what a process has open by its name."""
    return path.exists() and not path.is_dir() and (
        not path.is_file() or str(path).startswith(OPEN_FILES))


def _unwritable(path: Path, reason: str | None) -> Error:
    return Error(f"{path}: cannot be written ({reason}); nothing was left half-written")


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files, each whole; where one fails, none is left that was not there before.

    Raises Error naming the path.
    """
    made: list[Path] = []
    try:
        for path, data in files.items():
            new = not path.exists()
            write_atomic(path, data)
            if new:
                made.append(path)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to a compressed .npz file, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())
