"""Where unpacked releases are kept, and which of their files fit what is asked for.

A release is kept in a folder named by the digest of the sources that it was made from. Files of
another gateware are therefore never found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kaniwa.cache_folder import cache_folder
from kaniwa.errors import InputError
from kaniwa.release.manifest import BITSTREAM, MANIFEST, SIMULATOR, Artifact, Release

__all__ = ["kept_bitstream", "kept_simulator", "release_folder"]


def _releases() -> Path:
    return cache_folder() / "releases"


def release_folder(sources: str) -> Path:
    """The folder of the release that was made from ``sources``, which need not be there."""
    return _releases() / sources


def kept_simulator(config: str, sources: Callable[[], str]) -> Path | None:
    """The shared object of the core whose configuration has that hash, if a release has it.

    ``sources`` makes the digest of the sources; it is asked for where there are releases.
    """
    return _kept(sources, lambda one: one.kind == SIMULATOR and one.config == config)


def kept_bitstream(board: str, config: str, sources: Callable[[], str]) -> Path | None:
    """The bitstream of a board whose configuration has that hash, if a release has it."""
    return _kept(sources, lambda one: (one.kind, one.board, one.config)
                 == (BITSTREAM, board, config))


def _kept(sources: Callable[[], str], fits: Callable[[Artifact], bool]) -> Path | None:
    if not _releases().is_dir():     # spares most starts of a simulator the digest
        return None
    folder = release_folder(sources())
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return None
    try:
        release = Release.from_json(manifest.read_text(), str(manifest))
    except InputError as error:
        raise InputError(f"{error}; kaniwa cache --clear") from None
    found = next((one for one in release.artifacts if fits(one)), None)
    if found is None or (found.kind == SIMULATOR and not release.runs_here):
        return None
    path = folder / found.file
    return path if path.is_file() else None
