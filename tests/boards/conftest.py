"""What tests of builds share: a small design, and a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders.blinky import Blinky


@pytest.fixture
def blinky(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kaniwa.boards.flow.top.BoardTop", Blinky)
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / "cache"))
