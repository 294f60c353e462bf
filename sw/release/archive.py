"""The file of a release: a zip archive of a manifest and of the files that it names."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kaniwa.cache_folder import building
from kaniwa.errors import BuildError, InputError
from kaniwa.files import check_readable
from kaniwa.release.kept import release_folder
from kaniwa.release.manifest import MANIFEST, Artifact, Release

__all__ = ["artifact", "pack", "read_manifest", "unpack"]

# The date of all entries: the same files make the same archive. No zip has an earlier one.
DATE = (1980, 1, 1, 0, 0, 0)
# Above what any device's bitstream or simulator takes; a manifest is far smaller.
LARGEST_FILE, LARGEST_MANIFEST = 256 << 20, 4 << 20


def artifact(file: str, data: bytes, *, kind: str, target: str, config: str,
             board: str | None = None, facts: Mapping[str, Any] = MappingProxyType({})
             ) -> Artifact:
    """The entry of ``file``, which holds ``data``, in a manifest."""
    return Artifact(file, kind, target, config, hashlib.sha256(data).hexdigest(), len(data), board,
                    dict(facts))


def pack(release: Release, contents: Mapping[str, bytes]) -> bytes:
    """The archive of a release; ``contents`` are the files that its manifest names."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {MANIFEST: release.to_json().encode(), **contents}.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return written.getvalue()


def read_manifest(path: Path) -> Release:
    """The manifest of an archive. Raises InputError where ``path`` is no release."""
    with _open(path) as archive:
        return _manifest(archive, path)


def unpack(path: Path) -> Release:
    """Check each file of the archive and keep all in the cache; a release kept before is replaced.

    Nothing is kept of an archive that is cut or changed. Raises InputError naming the file.
    """
    with _open(path) as archive:
        release = _manifest(archive, path)
        folder = release_folder(release.sources)
        with building(folder) as made:
            (made / MANIFEST).write_text(release.to_json())
            for one in release.artifacts:
                target = made / one.file
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(_checked(archive, one, path))
            shutil.rmtree(folder, ignore_errors=True)
            try:
                made.replace(folder)
            except OSError as error:
                raise BuildError(f"{folder}: cannot be written ({error.strerror})") from None
    return release


def _open(path: Path) -> zipfile.ZipFile:
    check_readable(path)
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError):
        raise InputError(f"{path}: no release, or cut off: it has no directory of a zip archive; "
                         "fetch it again") from None


def _manifest(archive: zipfile.ZipFile, path: Path) -> Release:
    text = _read(archive, MANIFEST, path, LARGEST_MANIFEST)
    return Release.from_json(text.decode(errors="replace"), str(path))


def _checked(archive: zipfile.ZipFile, one: Artifact, path: Path) -> bytes:
    data = _read(archive, one.file, path, LARGEST_FILE)
    if len(data) != one.bytes or hashlib.sha256(data).hexdigest() != one.sha256:
        raise InputError(f"{path}: {one.file} is not what the manifest says; fetch it again")
    return data


def _read(archive: zipfile.ZipFile, name: str, path: Path, limit: int) -> bytes:
    try:
        if archive.getinfo(name).file_size > limit:
            raise InputError(f"{path}: {name} is larger than {limit >> 20} MiB")
        return archive.read(name)
    except KeyError:
        raise InputError(f"{path}: no release: it has no {name}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise InputError(f"{path}: {name} is damaged; fetch it again") from None
