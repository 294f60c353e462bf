"""Pictures of the pages are those of the code, and a wire without a way is an error."""

from __future__ import annotations

import importlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(params=["blocks.block_diagram", "cycles.cycles_by_layer",
                        "cycles.cycles_by_model", "lines.line_buffer"])
def drawn(request: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Name and text of a picture."""
    monkeypatch.syspath_prepend(str(root / "tools"))
    file, name = request.param.split(".")
    return name, getattr(importlib.import_module(f"pictures.{file}"), name)()


@pytest.fixture
def blocks(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the block diagram."""
    monkeypatch.syspath_prepend(str(root / "tools"))
    return importlib.import_module("pictures.blocks")


def test_a_picture_is_what_the_code_draws(drawn: tuple[str, str], root: Path) -> None:
    name, text = drawn
    assert (root / "docs" / "pictures" / f"{name}.svg").read_text() == text, "run make docs"


def test_a_picture_is_plain_svg_with_a_title(drawn: tuple[str, str]) -> None:
    space = "{http://www.w3.org/2000/svg}"
    picture = ElementTree.fromstring(drawn[1])
    assert picture.tag == f"{space}svg" and picture.get("aria-label")
    assert not list(picture.iter(f"{space}script")) and not list(picture.iter(f"{space}image"))


def test_a_wire_of_the_core_without_a_way_is_an_error(
        blocks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = blocks._routes()
    routes.pop(("window", "mac_array"))
    monkeypatch.setattr(blocks, "_routes", lambda: routes)
    with pytest.raises(ValueError, match=r"without a way: \[\('window', 'mac_array'\)\]"):
        blocks.block_diagram()


def test_a_way_without_a_wire_is_an_error(
        blocks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = blocks._routes() | {("store", "window"): [(0, 0), (1, 1)]}
    monkeypatch.setattr(blocks, "_routes", lambda: routes)
    with pytest.raises(ValueError, match=r"ways without a wire: \[\('store', 'window'\)\]"):
        blocks.block_diagram()
