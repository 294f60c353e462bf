"""The examples at the ports for sensors see and hear what is in their inputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.rtl, pytest.mark.long]


def printed(root: Path, script: str) -> list[list[str]]:
    """The words of each line that an example prints."""
    done = subprocess.run([sys.executable, root / "examples" / script], capture_output=True,
                          text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_the_camera_sees_persons(root: Path) -> None:
    *pictures, last = printed(root, "camera.py")
    seen = {name: words[0] == "a" for name, *words in pictures}
    assert all(seen[name] for name in ("admiral", "astronaut", "photographer"))
    assert not any(seen[name] for name in ("cat", "clock", "coffee", "rocket"))
    assert last[1:4] == ["cycles", "a", "frame,"]


def test_the_microphone_hears_six_words(root: Path) -> None:
    *words, last = printed(root, "microphone.py")
    assert [word for *_, word in words] == ["yes", "left", "no", "off", "go", "right"]
    assert last[1:2] == ["windows,"]
