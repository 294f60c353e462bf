"""Files that are written whole or not at all, and what is no file."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from kaniwa.errors import Error, InputError
from kaniwa.files import check_readable, check_writable, write_atomic


def test_a_link_stays_and_its_file_keeps_its_permissions(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"before")
    real.chmod(0o600)
    link.symlink_to("real")
    write_atomic(link, b"now")
    assert link.is_symlink() and real.read_bytes() == b"now"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_link_to_nothing_makes_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", b"now")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"now"


def test_a_pipe_takes_the_data_and_stays(tmp_path: Path) -> None:
    pipe, taken = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: taken.append(pipe.read_bytes()))
    reader.start()
    write_atomic(pipe, b"now")
    reader.join(60)
    assert taken == [b"now"] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_takes_the_data_and_stays() -> None:
    check_writable("/dev/null")
    write_atomic("/dev/null", b"now")
    with pytest.raises(Error, match="^/dev/full: cannot be written .No space left on device."):
        write_atomic("/dev/full", b"now")
    for path in ("/dev/null", "/dev/full"):
        assert stat.S_ISCHR(os.stat(path).st_mode)


@pytest.mark.parametrize(("name", "reason"), [
    ("folder", "Is a directory"), ("none/file", "No such file or directory"),
    ("file/file", "Not a directory")])
def test_what_cannot_be_written_is_said_before(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new")
    said = []
    for look in (check_writable, lambda path: write_atomic(path, b"")):
        with pytest.raises(Error, match=f"cannot be written .{reason}.; nothing was left") as one:
            look(tmp_path / name)
        said.append(str(one.value))
    assert said[0] == said[1]


def test_what_is_no_file_to_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_readable(tmp_path / "file")
    for path, reason in ((tmp_path, "is a folder, expected a file"),
                         (tmp_path / "none", "no such file"),
                         (Path("/dev/null"), "is no regular file")):
        with pytest.raises(InputError, match=f"^{path}: {reason}$"):
            check_readable(path)
