"""Shared by all tests: where the models are, how random tests behave, what is on PATH."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Verilator's front end calls `python` by name: pytest must work without an activated venv too.
_BIN = str(Path(sys.executable).parent)
if os.environ.get("PATH", "").split(os.pathsep)[0] != _BIN:
    os.environ["PATH"] = _BIN + os.pathsep + os.environ.get("PATH", "")

# Two busy cores make any deadline fail by chance; the blob replays a failure.
settings.register_profile("kaniwa", deadline=None, print_blob=True)
settings.load_profile("kaniwa")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `make long` runs, unless its mark is asked for."""
    if "long" not in config.getoption("markexpr"):
        left = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of the shipped models, with refs/ and inputs/ in it."""
    return ROOT / "models"
