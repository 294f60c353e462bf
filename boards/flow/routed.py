"""The netlist as place-and-route leaves it, kept beside its result for a simulation."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from kaniwa.errors import BuildError
from kaniwa.files import write_atomic

__all__ = ["ROUTED", "keep_routed", "load_routed"]

ROUTED = "routed.json.gz"   # beside a kept result of place-and-route
KEPT = ("type", "parameters", "port_directions", "connections")   # of a cell


def keep_routed(written: Path, kept: Path, top: str) -> None:
    """Write to ``kept`` the ports and cells of the netlist that nextpnr wrote to ``written``.

    Names of nets, and where each cell and wire lies, are left out: a fiftieth is left. Raises
    BuildError where ``written`` is no netlist.
    """
    module = _module(written, written.read_bytes(), top)
    cells = {name: {part: cell[part] for part in KEPT} | {"attributes": {}}
             for name, cell in module["cells"].items()}
    values = {"creator": "nextpnr", "modules": {top: {
        "attributes": {"top": 1}, "ports": module["ports"], "cells": cells, "netnames": {}}}}
    text = json.dumps(values, separators=(",", ":")).encode()
    write_atomic(kept, gzip.compress(text, 6, mtime=0))


def load_routed(kept: Path, top: str) -> dict[str, Any]:
    """The module that ``keep_routed`` kept. BuildError where the file is damaged."""
    try:
        data = gzip.decompress(kept.read_bytes())
    except (OSError, EOFError):
        raise _damaged(kept) from None
    return _module(kept, data, top)


def _module(path: Path, text: bytes, top: str) -> dict[str, Any]:
    try:
        module: dict[str, Any] = json.loads(text)["modules"][top]
        if not module["ports"] or any(part not in cell for cell in module["cells"].values()
                                      for part in KEPT):
            raise ValueError
        return module
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> BuildError:
    return BuildError(f"{path}: no netlist of place and route; remove its folder and build again")
