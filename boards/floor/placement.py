"""Where each cell was placed, from the netlist that nextpnr writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaniwa.errors import BuildError
from kaniwa.files import write_atomic

__all__ = ["PLACEMENT", "Site", "keep_placement", "load_placement", "read_sites", "written_netlist"]

PLACEMENT = "placement.json"   # beside a kept result of place-and-route
FORMAT, VERSION = "kaniwa.placement", 1
# X4/Y37/EBR0 of ECP5 and iCE40, X49Y9/BSRAM of Gowin.
BEL = re.compile(r"X(\d+)/?Y(\d+)/(.+)")


@dataclass(frozen=True)
class Site:
    """A placed cell: its name and type, its tile, and the place within the tile."""

    cell: str
    type: str
    x: int
    y: int
    place: str


def written_netlist(arguments: Sequence[str]) -> str | None:
    """The file that place-and-route with ``arguments`` writes the placed netlist to, if any."""
    if "--write" not in arguments:
        return None
    return arguments[arguments.index("--write") + 1]


def keep_placement(written: Path, kept: Path, top: str) -> None:
    """Write to ``kept`` what the floor needs of the netlist ``written``: a hundredth of it."""
    sites = read_sites(written, top)
    cells: dict[str, list[list[Any]]] = {}
    for site in sites:
        cells.setdefault(site.type, []).append([site.cell, site.x, site.y, site.place])
    values = {"format": FORMAT, "version": VERSION, "cells": cells}
    write_atomic(kept, json.dumps(values, separators=(",", ":")).encode())


def read_sites(written: Path, top: str) -> list[Site]:
    """The placed cells of a netlist that nextpnr wrote. BuildError where it is none."""
    try:
        cells = json.loads(written.read_text())["modules"][top]["cells"]
        return [_site(name, cell) for name, cell in cells.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BuildError(f"{written}: no netlist with the place of each cell; "
                         "remove its folder and build again") from None


def _site(name: str, cell: Mapping[str, Any]) -> Site:
    found = BEL.fullmatch(cell["attributes"]["NEXTPNR_BEL"])
    if found is None:
        raise ValueError(name)
    return Site(name, cell["type"], int(found[1]), int(found[2]), found[3])


def load_placement(kept: Path) -> list[Site]:
    """What ``keep_placement`` wrote. BuildError where the file is damaged."""
    try:
        values = json.loads(kept.read_text())
        if (values["format"], values["version"]) != (FORMAT, VERSION):
            raise ValueError
        return [Site(str(name), kind, int(x), int(y), str(place))
                for kind, cells in values["cells"].items() for name, x, y, place in cells]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BuildError(f"{kept}: damaged, or of another version; remove its folder and build "
                         "again") from None
