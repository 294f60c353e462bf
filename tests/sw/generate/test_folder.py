"""The generated folder is written whole or not at all, and no other file is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kaniwa.errors import InputError
from kaniwa.generate import folder as module
from kaniwa.generate.folder import check_folder, write_folder

FILES = {"a.v": b"module a;", "tb/Makefile": b"run:"}
BUILT = ("tb/build",)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_a_new_or_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new", tmp_path / "empty"):
        check_folder(folder, FILES, BUILT, force=False)
        write_folder(folder, FILES)
        assert contents(folder) == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new"]


def test_a_folder_with_files_is_refused_without_force(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", FILES)
    with pytest.raises(InputError, match="is not empty; name another folder, or give --force"):
        check_folder(tmp_path / "a", FILES, BUILT, force=False)


def test_force_replaces_files_and_builds_of_before(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_folder(folder, {**FILES, "tb/build/x.o": b"old"})
    check_folder(folder, FILES, BUILT, force=True)
    write_folder(folder, {**FILES, "a.v": b"module b;"})
    assert contents(folder) == {**FILES, "a.v": b"module b;"}


@pytest.mark.parametrize("name", ["mine.v", "tb/mine.sv", "tb/builds/x"])
def test_force_refuses_a_folder_with_a_file_of_the_user(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write_folder(folder, {**FILES, name: b"mine"})
    with pytest.raises(InputError, match=f"holds {name}, which this design does not have"):
        check_folder(folder, FILES, BUILT, force=True)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(InputError, match=f"{name}: is no folder"):
            check_folder(tmp_path / name, FILES, BUILT, force=True)
    with pytest.raises(InputError, match="there is no folder"):
        check_folder(tmp_path / "no" / "such", FILES, BUILT, force=False)


def test_the_folder_of_the_shell_is_refused(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (Path("."), tmp_path, tmp_path.parent):
        with pytest.raises(InputError, match="is the folder you are in, or around it"):
            check_folder(folder, FILES, BUILT, force=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_is_not_writable_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="is not writable"):
        check_folder(tmp_path / "a", FILES, BUILT, force=False)


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    write_folder(folder, FILES)

    def fails(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomic", fails)
    with pytest.raises(OSError):
        write_folder(folder, {"other.v": b""})
    assert contents(folder) == FILES and list(tmp_path.iterdir()) == [folder]


def test_a_failure_of_the_last_step_brings_the_old_folder_back(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    write_folder(folder, FILES)
    rename = os.rename

    def fails_once(source: Path, target: Path) -> None:
        if source.name == "new":
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_once)
    with pytest.raises(OSError):
        write_folder(folder, {"other.v": b""})
    assert contents(folder) == FILES and list(tmp_path.iterdir()) == [folder]
